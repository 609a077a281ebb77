"""What administrators do on the dashboard: retry a failed job, or cancel a waiting one.

A browser sends the password of the dashboard with every request to it, also with one that a page of another site makes
it send.  So a form holds a token that no other site knows, and what browsers say of a request's origin is checked.
"""

import hmac
from urllib.parse import urlsplit

from ckanpackager.config.settings import Receiver, Settings
from ckanpackager.errors import SpoolFailure, TemporaryFailure
from ckanpackager.receiver.basic_auth import check_password
from ckanpackager.receiver.body import Environ, read_parameters
from ckanpackager.receiver.refusals import Forbidden, Impossible
from ckanpackager.receiver.response import Response
from ckanpackager.spool import operations
from ckanpackager.spool.queue import Spool

DAY = 86400
OLDEST = 1  # days: a page that is open over midnight goes on working


def respond(
    action: str, environ: Environ, settings: Settings, spool: Spool, about: dict[str, str], now: float
) -> Response:
    """Retry or cancel the job that the form names, and lead back to the dashboard.

    Raises PasswordNeeded, Forbidden, BadRequest, TooLarge, Impossible, and SpoolFailure.
    """
    receiver = settings.receiver
    check_password(environ, receiver)
    _check_origin(environ, receiver)
    parameters = read_parameters(environ, receiver.max_request_size)
    job, token = (str(parameters.get(name) or "") for name in ("job", "token"))
    known = [make_token(receiver, action, job, now - days * DAY) for days in range(OLDEST + 1)]
    if not any(hmac.compare_digest(token.encode(errors="replace"), each.encode()) for each in known):
        raise Forbidden("this button is not of this dashboard, or older than a day; load the dashboard again")
    try:
        if action == "retry":
            about["accepted"] = f"job {job}: retried from the dashboard, waiting in {operations.retry(spool, job)}"
        else:
            operations.cancel(spool, job)
            about["accepted"] = f"job {job}: cancelled from the dashboard"
    except SpoolFailure:
        raise
    except TemporaryFailure as error:
        raise Impossible(str(error)) from None
    return Response("303 See Other", b"", (("Location", f"../dashboard?{action}={job}"),))


def make_token(settings: Receiver, action: str, job: str, now: float) -> str:
    """The token of a button on a day: who does not know the secret can make none."""
    message = f"dashboard\n{int(now // DAY)}\n{action}\n{job}".encode(errors="replace")
    return hmac.new((settings.secret or "").encode(errors="replace"), message, "sha256").hexdigest()


def _check_origin(environ: Environ, settings: Receiver) -> None:
    """Raises Forbidden if the browser says that another site sends the form (Fetch Metadata; RFC 6454)."""
    site, origin = environ.get("HTTP_SEC_FETCH_SITE"), environ.get("HTTP_ORIGIN")
    if site is not None:
        own = site in ("same-origin", "none")
    elif origin is not None:
        own = origin.partition("://")[2] in {environ.get("HTTP_HOST"), urlsplit(settings.public_url or "").netloc} - {
            ""
        }
    else:
        own = True  # an old browser: the token decides
    if not own:
        raise Forbidden("another site has sent this; use the buttons of the dashboard")
