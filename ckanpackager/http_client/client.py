"""HTTP with bounds on time and size, redirects within the allowed hosts, and errors that say what to do.

Several threads may use one `Client` at once.
"""

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url

from ckanpackager import __version__
from ckanpackager.errors import PermanentFailure, TemporaryFailure, one_line
from ckanpackager.hosts import HostPolicy, host_of, without_secrets
from ckanpackager.http_client.connection import BoundedAdapter, Bounds, Deadline, PrivateAddress, permitted_addresses
from ckanpackager.http_client.response import BROKEN, CHUNK, cause_of, chunks, header_text, seconds_to_wait, start_of

T = TypeVar("T")
TRIES = 5
LONGEST_WAIT = 60.0  # seconds that a request waits before it is repeated; beyond that the whole job waits
OK = 200
MAX_BYTES = 24 * 1024 * 1024  # of a response that is no file, unless the caller says otherwise
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_TEMPORARY = (408, 425, 429)

log = logging.getLogger("ckanpackager")


class Refused(PermanentFailure):
    """The site refused the request with this HTTP `status`."""

    def __init__(self, message: str, status: int, *, public: str = "") -> None:
        super().__init__(message, public=public, kind="site" if status >= 500 else "refused")
        self.status = status


class Unavailable(TemporaryFailure):
    """The site cannot do it now: a response with this HTTP `status`."""

    def __init__(self, message: str, status: int, retry_after: float | None) -> None:
        super().__init__(message, retry_after, kind="site")
        self.status = status


class Client:
    """Sends requests to one site, and for files.

    `key` goes bare into the Authorization header, as CKAN expects it, to the hosts that `hosts` says.  Where it does
    not, the user and password of a URL go there.  `timeout` is in seconds; `min_download_rate` in bytes per second;
    `wait` takes the seconds to wait before a request is repeated, up to `tries` times in all (None: TRIES).
    """

    def __init__(
        self,
        *,
        key: str | None,
        timeout: float,
        hosts: HostPolicy,
        min_download_rate: float = 1000,
        wait: Callable[[float], None] = time.sleep,
        tries: int | None = None,
    ) -> None:
        self._key = key
        self._hosts = hosts
        self._timeout, self._rate = timeout, min_download_rate
        self._wait, self._tries = wait, tries or TRIES
        self._bounds = Bounds()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"ckanpackager/{__version__}"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # several threads, no state
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, BoundedAdapter(self._bounds))

    def close(self) -> None:
        self._session.close()

    def repeat(self, work: Callable[[int], T], tries: int | None = None) -> T:
        """Run `work` until it succeeds, up to `tries` times; it gets the number of failed tries.

        Raises what the last try raised: TemporaryFailure or PermanentFailure.
        """
        last = min(tries or self._tries, self._tries) - 1
        for tried in range(last):
            try:
                return work(tried)
            except TemporaryFailure as failure:
                delay = failure.retry_after if failure.retry_after is not None else 2**tried * random.uniform(0.5, 1)  # noqa: S311 - no secret
                if delay > LONGEST_WAIT:
                    raise
                self._wait(delay)
        return work(last)

    def post(
        self,
        url: str,
        content: bytes,
        take: Callable[[bytes], object],
        *,
        explain: Callable[[bytes], str],
        max_bytes: int = MAX_BYTES,
        chunk_bytes: int = CHUNK,
    ) -> None:
        """POST JSON once, and pass the body of the response to `take`, `chunk_bytes` at a time, `max_bytes` in all.

        The time-out is that of the whole response, without what `take` needs.  `explain` finds the site's own message
        in the body of a refusal.  Raises TemporaryFailure where another try may help, PermanentFailure where not.
        """
        options = {"data": content, "headers": {"Content-Type": "application/json"}}
        deadline = Deadline(self._timeout)
        with self._open("POST", url, deadline, options) as response:
            if response.status_code != OK:
                self._check_status(response, explain(start_of(response)))
            left = max_bytes
            stalled = f"no complete answer within {self._timeout:g} seconds"
            for chunk in chunks(response, stalled, most=chunk_bytes):
                if (left := left - len(chunk)) < 0:
                    raise TemporaryFailure(f"{without_secrets(url)}: the answer has more than {max_bytes:,} bytes")
                take(chunk)

    @contextlib.contextmanager
    def download(self, url: str) -> Iterator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """GET a file: its headers, and its bytes as they are.

        An end before the announced length raises TemporaryFailure, as do a time-out without a byte, and less than
        `min_download_rate` on average.
        """

        def start(tried: int) -> tuple[requests.Response, Deadline]:
            deadline = Deadline(self._timeout)
            response = self._open("GET", url, deadline, {"headers": {"Accept-Encoding": "identity"}})
            try:
                self._check_status(response, "")
            except BaseException:
                response.close()
                raise
            return response, deadline

        # Apache announces a .gz file as gzip-encoded, too; it must stay as it is.
        packed = urlsplit(url).path.lower().endswith((".gz", ".tgz"))
        response, deadline = self.repeat(start)
        deadline.rate = self._rate
        with response:
            stalled = f"the answer stalled, or is slower than min_download_rate, {self._rate:g} bytes a second"
            yield response.headers, chunks(response, stalled, decode=not packed)

    def _open(self, method: str, url: str, deadline: Deadline, options: dict[str, Any]) -> requests.Response:
        """Send a request; redirects are followed with the same method, since a GET would lose the body of a POST."""
        target = url
        for _ in range(1 + _MAX_REDIRECTS):
            try:
                self._check_url(target)
                response = self._send(method, target, deadline, options)
                location = response.headers.get("Location")
                if response.status_code not in _REDIRECTS or not location:
                    return response
                response.close()
                target = urljoin(target, header_text(location))
            except ValueError as error:  # its message would contain the whole URL
                raise PermanentFailure(f"{without_secrets(url)}: no usable URL, or redirected to one") from error
            if self._withholds_key(url) and urlsplit(target).path.rstrip("/").endswith("/login"):
                said = f"{without_secrets(url)} redirects to a login page"
                raise PermanentFailure(f"{said}; {self._why_withheld(url)}", public=said, kind="refused")
        raise PermanentFailure(f"{without_secrets(url)}: redirected too often", kind="site")

    def _send(self, method: str, url: str, deadline: Deadline, options: dict[str, Any]) -> requests.Response:
        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            if self._key and self._hosts.gets_key(url):
                request.headers["Authorization"] = self._key
            elif any(own := get_auth_from_url(url)):
                HTTPBasicAuth(*own)(request)
            return request  # without this function, requests would use the password of a .netrc file

        name = without_secrets(url)
        if self._withholds_key(url):
            log.info("%s: requested without the API key; %s", name, self._why_withheld(url))
        self._bounds.deadline, self._bounds.may_be_private = deadline, self._hosts.may_be_private(url)
        try:
            self._check_proxied(url)
            return self._session.request(
                method, url, auth=authorize, timeout=self._timeout, stream=True, allow_redirects=False, **options
            )
        except PrivateAddress:
            raise PermanentFailure(
                f"{name}: its address is not public; to fetch from there, name the host in ckan_hosts (if it is "
                "CKAN's) or in allowed_hosts, or set allow_private_addresses",
                public=f"{name}: its address is not public, and this service does not fetch from there",
                kind="request",
            ) from None
        except requests.exceptions.InvalidHeader as error:  # a ValueError, too
            raise TemporaryFailure(f"{name}: the answer cannot be read: {cause_of(error)}", kind="network") from error
        except ValueError:  # no URL; requests' own errors of that kind are connections' errors, too
            raise
        except requests.exceptions.SSLError as error:
            raise TemporaryFailure(
                f"{name}: its certificate is not trusted: {cause_of(error)}", kind="network"
            ) from error
        except (requests.exceptions.Timeout, TimeoutError) as error:
            raise TemporaryFailure(f"{name}: no answer within {self._timeout:g} seconds", kind="network") from error
        except BROKEN as error:
            raise TemporaryFailure(f"{name}: no connection: {cause_of(error)}", kind="network") from error

    def _check_url(self, url: str) -> None:
        name = without_secrets(url)
        if "\\" in url:  # which urllib3 takes for the end of the host's name, and urlsplit for a part of it
            raise ValueError(url)
        if urlsplit(url).scheme not in ("http", "https"):
            raise PermanentFailure(f"{name}: only http and https are fetched", kind="request")
        if not self._hosts.allows(url):
            public = f"{name}: this service does not fetch from that host"
            raise PermanentFailure(f"{name}: its host is not one of the allowed_hosts", public=public, kind="request")

    def _check_proxied(self, url: str) -> None:
        """Check a host that a proxy connects to, as far as its name means anything here."""
        settings = self._session.merge_environment_settings(url, {}, None, None, None)
        if requests.utils.select_proxy(url, settings["proxies"]):
            with contextlib.suppress(OSError):
                permitted_addresses(urlsplit(url).hostname or "", 0, self._bounds.may_be_private)

    def _withholds_key(self, url: str) -> bool:
        return bool(self._key) and not self._hosts.gets_key(url)

    def _why_withheld(self, url: str) -> str:
        return f"an API key is sent to the host of api_url and to ckan_hosts only, and {host_of(url)} is neither"

    def _check_status(self, response: requests.Response, message: str) -> None:
        status = response.status_code
        if status == OK:
            return
        said = f"{without_secrets(response.url)} answered {status} {one_line(response.reason or '', 100)}".rstrip()
        said += f": {message}" if message else ""
        if status in _TEMPORARY or status >= 500:
            raise Unavailable(said, status, seconds_to_wait(response.headers.get("Retry-After")))
        withheld = status in (401, 403) and self._withholds_key(response.url)
        advice = f"; {self._why_withheld(response.url)}" if withheld else ""
        raise Refused(said + advice, status, public=said)
