"""A stand-in for Solr for tests against a real CKAN: it accepts every update and finds nothing.

CKAN needs Solr to start and to store datasets; pages of datasets and resources read the database when the index has
nothing.  Lists of datasets are empty.

    python solr_stub.py PORT SCHEMA_VERSION     (2.12, say: the newest schema that this CKAN accepts)
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


def reply_to(path: str, query: dict[str, list[str]], schema_version: str) -> tuple[str, str]:
    """The content type and the body of Solr's reply."""
    if path.endswith(("/schema", "/admin/file")):
        return "application/xml", f'<schema name="ckan-{schema_version}" version="1.6"/>'
    header = {"status": 0, "QTime": 0}
    reply: dict[str, Any] = {"responseHeader": header}
    if path.endswith("/admin/ping"):
        reply["status"] = "OK"
    elif not path.endswith("/update"):
        facets = {name: [] for name in query.get("facet.field", [])}
        reply["response"] = {"numFound": 0, "start": 0, "docs": []}
        reply["facet_counts"] = {"facet_queries": {}, "facet_fields": facets, "facet_ranges": {}}
    return "application/json", json.dumps(reply)


def serve(port: int, schema_version: str) -> None:
    """Answer on 127.0.0.1 until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
            url = urlsplit(self.path)
            content_type, text = reply_to(url.path.rstrip("/"), parse_qs(url.query or body), schema_version)
            self.send_response(200)
            self.send_header("Content-Type", f"{content_type}; charset=utf-8")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            pass

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
