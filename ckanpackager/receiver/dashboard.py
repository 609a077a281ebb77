"""The dashboard: a page for administrators that shows at a glance how the service stands."""

from urllib.parse import parse_qsl

from ckanpackager.config.settings import Portal, Settings
from ckanpackager.receiver import dashboard_page
from ckanpackager.receiver.basic_auth import check_password
from ckanpackager.receiver.body import Environ
from ckanpackager.receiver.dashboard_actions import make_token
from ckanpackager.receiver.dashboard_facts import gather
from ckanpackager.receiver.page_layout import html_page, security_headers
from ckanpackager.receiver.refusals import Refusal
from ckanpackager.receiver.response import Response
from ckanpackager.spool.job_files import is_id
from ckanpackager.spool.queue import Spool

RELOAD = 60  # seconds, where the administrator has asked for it


def respond(environ: Environ, settings: Settings, spool: Spool, now: float) -> Response:
    """The page.  Raises PasswordNeeded, and TemporaryFailure if the spool cannot be read."""
    check_password(environ, settings.receiver)
    if environ.get("PATH_INFO") != "/dashboard":  # its links are relative
        return Response("301 Moved Permanently", b"", (("Location", "../dashboard"),))
    query = environ.get("QUERY_STRING", "")
    spool.prepare()
    body = dashboard_page.page(
        gather(settings, spool, now),
        lambda action, job: make_token(settings.receiver, action, job, now),
        said=_done(query),
        reloads=query == dashboard_page.RELOADS,
    )
    head = f'<meta http-equiv="refresh" content="{RELOAD}">\n' if query == dashboard_page.RELOADS else ""
    return _html("200 OK", "Dashboard", body, settings.portal, head=head)


def respond_refused(path: str, refusal: Refusal, portal: Portal) -> Response:
    """A page that says why something at that path was refused."""
    body = dashboard_page.refusal(refusal.words, "../dashboard" if path.count("/") > 1 else "dashboard")
    return _html(refusal.status, refusal.status.partition(" ")[2], body, portal, headers=refusal.headers)


def _done(query: str) -> str:
    """What was done to which job, as the query says it to which an action leads."""
    for action, job in parse_qsl(query[:200], max_num_fields=2) if query.count("&") < 2 else []:
        if action in dashboard_page.DONE and is_id(job):
            return dashboard_page.DONE[action].format(job=job)
    return ""


def _html(
    status: str, title: str, body: str, portal: Portal, *, head: str = "", headers: dict[str, str] | None = None
) -> Response:
    text = html_page(title, body, portal, head=head, style=dashboard_page.STYLE)
    secured = security_headers(portal, style=dashboard_page.STYLE, forms=True)
    return Response(
        status, text.encode(errors="replace"), (*(headers or {}).items(), *secured), "text/html; charset=utf-8"
    )
