"""HTTP with time-outs, redirects within the allowed hosts, and errors that say what to do.

Several threads may use one `Client` at once.
"""

import contextlib
import email.utils
import random
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url

from ckanpackager import __version__
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.hosts import host_allowed

T = TypeVar("T")
TRIES = 5
LONGEST_WAIT = 60.0  # seconds that a request waits before it is repeated; beyond that the whole job waits
OK = 200
_CHUNK = 128 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_TEMPORARY = (408, 425, 429)
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Refused(PermanentFailure):
    """The site refused the request with this HTTP `status`."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unavailable(TemporaryFailure):
    """The site cannot do it now: an answer with this HTTP `status`."""

    def __init__(self, message: str, status: int, retry_after: float | None) -> None:
        super().__init__(message, retry_after)
        self.status = status


class Client:
    """Sends requests to one site.

    `key` goes bare into the Authorization header, as CKAN expects it, and only to the host of `site` (a URL; by
    default the requested one).  Without a key, the user and password of a URL go there.  `timeout` is in seconds;
    `wait` takes the seconds to wait before a request is repeated.
    """

    def __init__(
        self,
        *,
        key: str | None,
        timeout: float,
        site: str | None = None,
        allowed_hosts: list[str] | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._key = key
        self._site = site
        self._timeout = timeout
        self._allowed = allowed_hosts
        self._wait = wait
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"ckanpackager/{__version__}"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # several threads, no state

    def close(self) -> None:
        self._session.close()

    def repeat(self, work: Callable[[int], T]) -> T:
        """Run `work` up to TRIES times until it succeeds; it gets the number of failed tries.

        Raises what the last try raised: TemporaryFailure or PermanentFailure.
        """
        for tried in range(TRIES - 1):
            try:
                return work(tried)
            except TemporaryFailure as failure:
                delay = failure.retry_after if failure.retry_after is not None else 2**tried * random.uniform(0.5, 1)  # noqa: S311 - no secret
                if delay > LONGEST_WAIT:
                    raise
                self._wait(delay)
        return work(TRIES - 1)

    def post(
        self, url: str, content: bytes, take: Callable[[bytes], object], *, explain: Callable[[bytes], str]
    ) -> None:
        """POST JSON once, and pass the body of the response to `take`, piece by piece.

        The whole response must arrive within the time-out.  `explain` finds the site's own message in the body of a
        refusal.  Raises TemporaryFailure where another try may help, PermanentFailure where not.
        """
        deadline = time.monotonic() + self._timeout
        with self._open("POST", url, data=content, headers={"Content-Type": "application/json"}) as response:
            refusal: list[bytes] = []
            for chunk in _chunks(response):
                (take if response.status_code == OK else refusal.append)(chunk)
                if time.monotonic() > deadline:
                    raise TemporaryFailure(f"{_name(url)}: no complete answer within {self._timeout:g} seconds")
            _check_status(response, explain(b"".join(refusal)))

    @contextlib.contextmanager
    def download(self, url: str) -> Iterator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """GET a file: its headers, and its bytes as they are.

        An end before the announced length raises TemporaryFailure, as does a time-out without a byte.
        """

        def start(tried: int) -> requests.Response:
            response = self._open("GET", url, headers={"Accept-Encoding": "identity"})
            try:
                _check_status(response, "")
            except BaseException:
                response.close()
                raise
            return response

        # Apache announces a .gz file as gzip-encoded, too; it must stay as it is.
        packed = urlsplit(url).path.lower().endswith((".gz", ".tgz"))
        with self.repeat(start) as response:
            yield response.headers, _chunks(response, decode=not packed)

    def _open(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request; redirects are followed with the same method, since a GET would lose the body of a POST."""
        target = url
        for _ in range(6):
            try:
                _check_url(target, self._allowed)
                elsewhere = self._session.should_strip_auth(self._site or url, target)  # type: ignore[no-untyped-call]
                response = self._send(method, target, None if elsewhere else self._key, options)
                location = response.headers.get("Location")
                if response.status_code not in _REDIRECTS or not location:
                    return response
                response.close()
                target = urljoin(target, _text(location))
            except ValueError as error:  # its message would contain the whole URL
                raise PermanentFailure(f"{_name(url)}: no usable URL, or redirected to one") from error
        raise PermanentFailure(f"{_name(url)}: redirected too often")

    def _send(self, method: str, url: str, key: str | None, options: dict[str, Any]) -> requests.Response:
        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            if key:
                request.headers["Authorization"] = key
            elif any(own := get_auth_from_url(url)):
                HTTPBasicAuth(*own)(request)
            return request  # without this function, requests would use the password of a .netrc file

        try:
            return self._session.request(
                method, url, auth=authorize, timeout=self._timeout, stream=True, allow_redirects=False, **options
            )
        except ValueError:  # no URL; requests' own errors of that kind are connections' errors, too
            raise
        except requests.exceptions.SSLError as error:
            raise TemporaryFailure(f"{_name(url)}: its certificate is not trusted: {_words(error)}") from error
        except requests.exceptions.Timeout as error:
            raise TemporaryFailure(f"{_name(url)}: no answer within {self._timeout:g} seconds") from error
        except _BROKEN as error:
            raise TemporaryFailure(f"{_name(url)}: no connection: {_words(error)}") from error


def _check_url(url: str, allowed_hosts: list[str] | None) -> None:
    if "\\" in url:  # which urllib3 takes for the end of the host's name, and urlsplit for a part of it
        raise ValueError(url)
    if urlsplit(url).scheme not in ("http", "https"):
        raise PermanentFailure(f"{_name(url)}: only http and https are fetched")
    if not host_allowed(url, allowed_hosts):
        raise PermanentFailure(f"{_name(url)}: its host is not one of the allowed_hosts")


def _check_status(response: requests.Response, message: str) -> None:
    status = response.status_code
    if status == OK:
        return
    said = f"{_name(response.url)} answered {status} {response.reason or ''}".rstrip()
    said += f": {message}" if message else ""
    if status in _TEMPORARY or status >= 500:
        raise Unavailable(said, status, _retry_after(response.headers.get("Retry-After")))
    raise Refused(said, status)


def _chunks(response: requests.Response, *, decode: bool = True) -> Iterator[bytes]:
    """The body as it arrives, checked against its announced length (urllib3 does so where there is one)."""
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=decode):  # read would wait until it has _CHUNK
            yield chunk
    except urllib3.exceptions.ReadTimeoutError as error:
        raise TemporaryFailure(f"{_name(response.url)}: the answer stalled") from error
    except _BROKEN as error:
        raise TemporaryFailure(f"{_name(response.url)}: the answer broke off: {_words(error)}") from error


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait; the header has them, or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _text(header: str) -> str:
    """A header that holds UTF-8, which browsers accept although it is not allowed."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _name(url: str) -> str:
    """A URL for messages: without user, password and query, which may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _words(error: Exception) -> str:
    """The innermost reason, without what the libraries wrap around it."""
    cause: BaseException = error
    while inner := getattr(cause, "reason", None) or (cause.args and cause.args[-1]) or None:
        if not isinstance(inner, BaseException):
            break
        cause = inner
    text = " ".join(str(cause).split())
    return text.split(": ", 1)[1] if text.startswith("<") and ": " in text else text
