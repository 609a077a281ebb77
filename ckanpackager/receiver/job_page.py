"""The page of one job, for its requester: the job's id is the key to it.  As HTML, or as JSON if that is asked for."""

import html
from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

from ckanpackager.config.settings import Portal, Settings
from ckanpackager.errors import BadRequest
from ckanpackager.receiver.page_layout import contact_link, html_page, security_headers
from ckanpackager.receiver.response import Response
from ckanpackager.spool.queue import Spool
from ckanpackager.status import EXPIRED, UNKNOWN, JobStatus, human_size, job_status

REFRESH = 5  # seconds
RELOADS = "reload=yes"  # the query of a page that reloads: only who asks for it gets that (WCAG 2.2.1, F41)


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
    return _html(status, page(job, settings.portal, reload=query == RELOADS), settings.portal)


def respond_expired(accept: str, portal: Portal) -> Response:
    """The page in place of an archive that was removed."""
    if _prefers_json(accept):
        values = {"status": "failed", "success": False, "error": "Gone", **msgspec.to_builtins(EXPIRED)}
        return Response("410 Gone", msgspec.json.encode({**values, "msg": EXPIRED.message}), (("Vary", "Accept"),))
    return _html("410 Gone", page(EXPIRED, portal), portal)


def _html(status: str, text: str, portal: Portal) -> Response:
    headers = (("Vary", "Accept"), *security_headers(portal))
    return Response(status, text.encode(errors="replace"), headers, "text/html; charset=utf-8")


def page(job: JobStatus, portal: Portal, *, reload: bool = False) -> str:
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
    lines += _advice(job, portal)
    changes = job.state in ("waiting", "running")
    if changes:
        lines.append(_RELOADS if reload else _STAYS)
    if job.job:
        lines += _about(job)
    return html_page(title, "\n".join(lines), portal, head=_REFRESH if changes and reload else "")


def _download(job: JobStatus) -> list[str]:
    rows = f"{job.rows:,} {'row' if job.rows == 1 else 'rows'}, " if isinstance(job.rows, int) else ""
    url, size = html.escape(job.download_url or ""), human_size(job.size or 0)
    lines = [f'<p><a class="button" href="{url}">Download</a> <span>{rows}{size}</span></p>']
    lines += [f"<p>{html.escape(note)}</p>" for note in job.notes or ()]
    return [*lines, f"<p>Available until {_time(job.expires)}.</p>"]


def _advice(job: JobStatus, portal: Portal) -> list[str]:
    """What the requester can do when there is nothing to download."""
    if job.state not in ("failed", "cancelled", "expired", "unknown"):
        return []
    url, contact = html.escape(portal.portal_url or ""), contact_link(portal)
    lines = [f'<p><a class="button" href="{url}">Request it again</a></p>'] if url else []
    if job.state in ("failed", "cancelled"):
        whom = contact or "the administrators of the site"
        number = " with the number below" if job.job else ""
        lines.append(f"<p>You can change your request and try again, or write to {whom}{number}.</p>")
    return lines


def _progress(rows: int, expected: int | None) -> str:
    if not expected:
        return f"<p>{rows:,} rows so far.</p>" if rows else "<p>No rows so far.</p>"
    bar = f'<progress value="{min(rows, expected)}" max="{expected}"></progress>'
    return f"<p><label>{rows:,} of {expected:,} rows {bar}</label></p>"


def _about(job: JobStatus) -> list[str]:
    about = {
        "Title": html.escape(job.title or ""),
        "Resource": f"<code>{html.escape(str(job.resource_id))}</code>",
        "From": html.escape(str(job.host)),
        "Format": html.escape(job.format or ""),
        "Selection": html.escape(job.query or ""),
        "Requested": _time(job.requested),
        "SHA-256": f"<code>{job.sha256}</code>" if job.sha256 and job.download_url else "",
        "Number": f"<code>{html.escape(str(job.job))}</code>",
    }
    return ["<dl>", *(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in about.items() if value), "</dl>"]


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

_REFRESH = f'<meta http-equiv="refresh" content="{REFRESH}">\n'
_RELOADS = f'<p class="reload">This page reloads every {REFRESH} seconds. <a href="?">Do not reload it</a></p>'
_STAYS = f'<p class="reload"><a href="?{RELOADS}">Reload this page every {REFRESH} seconds</a></p>'
