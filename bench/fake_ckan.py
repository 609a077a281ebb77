"""A CKAN that costs next to nothing: pages of the sample's rows, rendered once, over and over, with running ids.

python -m bench.fake_ckan ROWS      prints its port and serves until it is killed
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ckanpackager.demo import render, sample
from ckanpackager.demo.render import Column

DIFFERENT = 5000  # rows; the others repeat them


class FakeCkan(ThreadingHTTPServer):
    """Serves `rows` rows as csv, tsv, lists or objects, by keyset, by ranges or by offset."""

    daemon_threads = True

    def __init__(self, rows: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows = rows
        self.fields = sample.FIELDS
        columns = [Column(field["id"], field["type"], n) for n, field in enumerate(sample.FIELDS)]
        table = list(sample.rows(DIFFERENT))
        self.rendered: dict[str, list[str]] = {}
        for form in ("csv", "tsv", "lists", "objects"):
            self.rendered[form] = [_row(columns, row, form) for row in table]

    def answer(self, query: dict[str, Any]) -> bytes:
        form = query.get("records_format", "objects")
        limit = min(query.get("limit", 100), 32000)
        bounds = (query.get("filters") or {}).get("_id", {})
        first = bounds.get("gt", 0) + 1 + query.get("offset", 0)
        last = min(first + limit - 1, bounds.get("lte", self.rows), self.rows)
        if query.get("sort") == "_id desc":
            first = last = self.rows
        result: dict[str, Any] = {"fields": self.fields, "limit": limit, "total": self.rows, "records_format": form}
        result["include_next_page"] = bool(query.get("include_next_page"))
        if result["include_next_page"] and first <= last:
            result["next_page"] = {"_id": {"gt": last}}
        rendered = self.rendered[form]
        if query.get("fields") == ["_id"]:
            records = json.dumps([[number] for number in range(first, last + 1)])
        elif form in ("csv", "tsv"):
            records = '"' + "".join([f"{n}{rendered[n % DIFFERENT]}" for n in range(first, last + 1)]) + '"'
        else:
            start = "[" if form == "lists" else '{"_id": '
            records = "[" + ",".join([f"{start}{n}{rendered[n % DIFFERENT]}" for n in range(first, last + 1)]) + "]"
        head = json.dumps({"success": True, "result": result})
        return f'{head[:-2]}, "records": {records}}}}}'.encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeCkan

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = self.server.answer(query)
        self.send_response(200)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _row(columns: list[Column], row: list[Any], form: str) -> str:
    """A row without its id, as it stands within the JSON of an answer."""
    text = render.records(columns, [[0, *row[1:]]], form, milliseconds=True)
    if form in ("csv", "tsv"):
        return text.strip('"')[1:] if text.startswith('"') else text
    start = text.index("0") + 1  # behind the id
    return text[start:-1]


if __name__ == "__main__":
    server = FakeCkan(int(sys.argv[1]))
    print(server.server_port, flush=True)
    server.serve_forever()
