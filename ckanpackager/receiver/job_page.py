"""The page of one job, for its requester: the job's id is the key to it.  As HTML, or as JSON if that is asked for."""

import base64
import hashlib
import html
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

from ckanpackager.config.settings import Settings
from ckanpackager.errors import BadRequest
from ckanpackager.receiver.response import Response
from ckanpackager.spool.queue import Spool
from ckanpackager.status import EXPIRED, UNKNOWN, JobStatus, human_size, job_status

REFRESH = 5  # seconds
KEEP = "reload=no"  # the query of a page that does not reload, for slow readers (WCAG 2.2.1)


def respond(id: str, query: str, accept: str, settings: Settings, spool: Spool, now: float) -> Response:
    """The page of a job, or one that says that there is none.  Raises TemporaryFailure."""
    try:
        found = spool.find(id)
    except BadRequest:  # its file is broken, which administrators are told
        found = None
    status = "200 OK" if found else "404 Not Found"
    job = job_status(*found, settings, spool, now) if found else UNKNOWN
    if _prefers_json(accept):
        success = {"status": "success" if found else "failed", "success": bool(found)}
        body = msgspec.json.encode({**success, **msgspec.to_builtins(job), "msg": job.message})
        return Response(status, body, (("Vary", "Accept"),))
    text = page(job, reload=query != KEEP)
    return Response(status, text.encode(errors="replace"), (("Vary", "Accept"), *_SECURITY), "text/html; charset=utf-8")


def respond_expired(accept: str) -> Response:
    """The page in place of an archive that was removed."""
    if _prefers_json(accept):
        values = {"status": "failed", "success": False, "error": "Gone", **msgspec.to_builtins(EXPIRED)}
        return Response("410 Gone", msgspec.json.encode({**values, "msg": EXPIRED.message}), (("Vary", "Accept"),))
    headers = (("Vary", "Accept"), *_SECURITY)
    return Response("410 Gone", page(EXPIRED).encode(), headers, "text/html; charset=utf-8")


def page(job: JobStatus, *, reload: bool = True) -> str:
    """The status of a job as HTML; every value is escaped."""
    title = html.escape(_TITLES[job.state])
    lines = [f"<h1>{title}</h1>"]
    if job.state == "running" and job.size is UNSET:
        lines.append(_progress(job.rows or 0, job.expected or None))
    if job.position:
        lines.append(f"<p>{job.position:,} {'request is' if job.position == 1 else 'requests are'} ahead of yours.</p>")
    if job.download_url:
        lines += _download(job)
    lines.append(f"<p>{html.escape(job.message)}</p>")
    if job.next_attempt and job.state == "waiting":
        lines.append(f"<p>Next attempt: {_time(job.next_attempt)}</p>")
    changes = job.state in ("waiting", "running")
    if changes:
        lines.append(_RELOADS if reload else _STAYS)
    if job.job:
        lines += _about(job)
    refresh = _REFRESH if changes and reload else ""
    return _PAGE.format(title=title, refresh=refresh, style=_STYLE, body="\n".join(lines))


def _download(job: JobStatus) -> list[str]:
    rows = f"{job.rows:,} {'row' if job.rows == 1 else 'rows'}, " if isinstance(job.rows, int) else ""
    url, size = html.escape(job.download_url or ""), human_size(job.size or 0)
    lines = [f'<p><a class="button" href="{url}">Download</a> <span>{rows}{size}</span></p>']
    lines += [f"<p>{html.escape(note)}</p>" for note in job.notes or ()]
    return [*lines, f"<p>Available until {_time(job.expires)}.</p>"]


def _progress(rows: int, expected: int | None) -> str:
    if not expected:
        return f"<p>{rows:,} rows so far.</p>" if rows else "<p>No rows so far.</p>"
    bar = f'<progress value="{min(rows, expected)}" max="{expected}"></progress>'
    return f"<p><label>{rows:,} of {expected:,} rows {bar}</label></p>"


def _about(job: JobStatus) -> list[str]:
    about = {
        "Resource": f"<code>{html.escape(str(job.resource_id))}</code>",
        "From": html.escape(str(job.host)),
        "Requested": _time(job.requested),
        "Number": f"<code>{html.escape(str(job.job))}</code>",
    }
    return ["<dl>", *(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in about.items()), "</dl>"]


def _prefers_json(accept: str) -> bool:
    """Whether JSON is asked for rather than HTML (RFC 9110, 12.5.1; weights are not looked at)."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    return "application/json" in kinds and "text/html" not in kinds


def _time(moment: float | UnsetType) -> str:
    at = datetime.fromtimestamp(moment or 0, UTC)
    return f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%-d %B %Y, %H:%M} UTC</time>'


_TITLES = {
    "waiting": "Your request is waiting",
    "running": "Your data is being packed",
    "done": "Your data is ready",
    "expired": "Your data is no longer available",
    "failed": "Your request has failed",
    "cancelled": "Your request was cancelled",
    "unknown": "Unknown request",
}

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #57606a; --line: #d5dae0;
  --accent: #0a5fb4; --on-accent: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #14181d; --soft: #9aa4af; --line: #323a43; --accent: #6cb6ff; --on-accent: #0b1622 }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.55 system-ui, sans-serif }
main { max-width: 38rem; margin: 10vh auto 3rem; padding: 0 1.25rem }
h1 { font-size: 1.75rem; font-weight: 600; line-height: 1.2; margin: 0 0 1.25rem }
p { margin: 0 0 .9rem }
progress { width: 100%; height: .9rem; display: block; margin-top: .35rem; accent-color: var(--accent) }
a { color: var(--accent) }
.button { display: inline-block; padding: .55rem 1.25rem; margin-right: .75rem; border-radius: .4rem;
  background: var(--accent); color: var(--on-accent); text-decoration: none; font-weight: 600 }
a:focus-visible { outline: .2rem solid var(--ink); outline-offset: .15rem }
.reload, dl { color: var(--soft); font-size: .875rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 2.25rem 0 0;
  padding-top: 1.25rem; border-top: 1px solid var(--line) }
dt, dd { margin: 0 }
dd { color: var(--ink); overflow-wrap: anywhere }
code { font: .9375em ui-monospace, monospace }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
{refresh}<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
_REFRESH = f'<meta http-equiv="refresh" content="{REFRESH}">\n'
_RELOADS = f'<p class="reload">This page reloads every {REFRESH} seconds. <a href="?{KEEP}">Do not reload it</a></p>'
_STAYS = f'<p class="reload">This page does not reload. <a href="?">Reload it every {REFRESH} seconds</a></p>'
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_SECURITY = (
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'",
    ),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
