"""The page of one job, for its requester: the job's id is the key to it.  As HTML, or as JSON if that is asked for."""

import base64
import hashlib
import html
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from ckanpackager.config.settings import Settings
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import QUEUES
from ckanpackager.spool.queue import Spool

REFRESH = 5  # seconds
KEEP = "reload=no"  # the query of a page that stays as it is, which whoever reads slowly needs (WCAG 2.2.1)
DAY = 86400


class Answer(NamedTuple):
    """Status line, body, headers and content type."""

    status: str
    body: bytes
    headers: tuple[tuple[str, str], ...]
    content_type: str


def answer(id: str, query: str, accept: str, settings: Settings, spool: Spool, now: float) -> Answer:
    """The page of a job, or one that says that there is none.  Raises TemporaryFailure."""
    found = spool.find(id)
    status = "200 OK" if found else "404 Not Found"
    known = facts(*found, settings, spool, now) if found else {"state": "unknown", "message": _MESSAGES["unknown"]}
    if _prefers_json(accept):
        success = {"status": "success" if found else "failed", "success": bool(found)}
        body = msgspec.json.encode({**success, **known, "msg": known["message"]})
        return Answer(status, body, (("Vary", "Accept"),), "application/json")
    text = page(known, reload=query != KEEP)
    return Answer(status, text.encode(errors="replace"), (("Vary", "Accept"), *_SECURITY), "text/html; charset=utf-8")


def facts(folder: str, job: Job, settings: Settings, spool: Spool, now: float) -> dict[str, Any]:
    """What a requester may know of a job; not whose it is."""
    state = _state(folder, job)
    known: dict[str, Any] = {
        "job": job.id,
        "resource_id": job.request.resource_id,
        "host": job.request.host,
        "requested": job.created,
        "state": state,
        "message": job.failure or _MESSAGES[state],
    }
    if state == "waiting":
        if job.attempts and (due := spool.not_before(job)) > now:
            known |= {"next_attempt": due, "message": _MESSAGES["delayed"]}
        else:
            known["position"] = spool.jobs_ahead(job.id, job.queue)
    if state == "running":
        for worker in spool.active_workers():
            if worker.job == job.id:
                known |= {"rows": worker.rows, "expected": worker.expected}
    if job.archive and state not in ("failed", "cancelled"):
        known |= {"rows": job.archive.rows, "size": job.archive.size, "notes": list(job.archive.notes)}
        known["expires"] = job.archive.published + settings.archives.keep_archives * DAY
        if known["expires"] <= now:
            known |= {"state": "expired", "message": _MESSAGES["expired"]}
        elif settings.mail.download_url:
            known["download_url"] = f"{settings.mail.download_url}/{quote(job.archive.name)}"
    return known


def page(known: dict[str, Any], *, reload: bool = True) -> str:
    """The facts as HTML; every value is escaped."""
    title = html.escape(_TITLES[known["state"]])
    lines = [f"<h1>{title}</h1>"]
    if known["state"] == "running" and "size" not in known:
        lines.append(_progress(known.get("rows") or 0, known.get("expected")))
    if ahead := known.get("position"):
        lines.append(f"<p>{ahead:,} {'request is' if ahead == 1 else 'requests are'} ahead of yours.</p>")
    if "download_url" in known:
        lines += _download(known)
    lines.append(f"<p>{html.escape(known['message'])}</p>")
    if "next_attempt" in known:
        lines.append(f"<p>Next attempt: {_at(known['next_attempt'])}</p>")
    changes = known["state"] in ("waiting", "running")
    if changes:
        lines.append(_RELOADS if reload else _STAYS)
    if "job" in known:
        lines += _about(known)
    return _PAGE.format(
        title=title, refresh=_REFRESH if changes and reload else "", style=_STYLE, body="\n".join(lines)
    )


def _download(known: dict[str, Any]) -> list[str]:
    rows = "" if known["rows"] is None else f"{known['rows']:,} {'row' if known['rows'] == 1 else 'rows'}, "
    url = html.escape(known["download_url"])
    lines = [f'<p><a class="button" href="{url}">Download</a> <span>{rows}{_size(known["size"])}</span></p>']
    lines += [f"<p>{html.escape(note)}</p>" for note in known["notes"]]
    return [*lines, f"<p>Available until {_at(known['expires'])}.</p>"]


def _progress(rows: int, expected: int | None) -> str:
    if not expected:
        return f"<p>{rows:,} rows so far.</p>" if rows else "<p>No rows so far.</p>"
    bar = f'<progress value="{min(rows, expected)}" max="{expected}"></progress>'
    return f"<p><label>{rows:,} of {expected:,} rows {bar}</label></p>"


def _about(known: dict[str, Any]) -> list[str]:
    about = {
        "Resource": f"<code>{html.escape(known['resource_id'])}</code>",
        "From": html.escape(known["host"]),
        "Requested": _at(known["requested"]),
        "Number": f"<code>{html.escape(known['job'])}</code>",
    }
    return ["<dl>", *(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in about.items()), "</dl>"]


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _state(folder: str, job: Job) -> str:
    if job.cancelled:
        return "cancelled"
    if folder == "failed" or job.failure is not None:
        return "failed"
    if folder in QUEUES:
        return "waiting"
    return "running" if folder == "claimed" else "done"


def _prefers_json(accept: str) -> bool:
    """Whether JSON is asked for rather than HTML (RFC 9110, 12.5.1; weights are beside the point here)."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    return "application/json" in kinds and "text/html" not in kinds


def _at(moment: float) -> str:
    at = datetime.fromtimestamp(moment, UTC)
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
_MESSAGES = {
    "waiting": "There is nothing left for you to do: the link will come by e-mail.",
    "running": "There is nothing left for you to do: the link will come by e-mail.",
    "delayed": "Something did not work yet, and will be tried again. The link will come by e-mail.",
    "done": "The link was sent to you by e-mail, too.",
    "expired": "Archives are kept for a limited time. Please request the data again.",
    "failed": "Please ask the administrators of the site.",
    "cancelled": "Please ask the administrators of the site.",
    "unknown": "There is no such request, or it is so long ago that it is no longer known here.",
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
