"""HTTP with care: what servers of every temper do to a request, and what its error then says."""

import contextlib
import gzip
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from support.programs import make_certificate

from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client, Refused
from ckanpackager.http_client.client import LONGEST_WAIT, TRIES

Answer = bytes | Callable[[socket.socket], None]
GONE = "http://127.0.0.1:9"  # the port of `discard`, where no server listens


class Server:
    """A socket that answers connection after connection, each with the next of `answers`, the last one ever after."""

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # which wakes the accepting thread
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._socket.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self.requests.append(_request(connection))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                connection.sendall(answer)
            else:
                answer(connection)
            if self._tls:
                connection.unwrap()

    def headers(self, number: int) -> dict[str, str]:
        """What came with a request, names in lower case."""
        lines = self.requests[number].partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status: int | str, body: bytes = b"", **headers: str) -> bytes:
    """An answer; underscores in the names of headers stand for hyphens."""
    headers = {"Content_Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, "", ""]).encode() + body


def redirect(status: int, location: str) -> bytes:
    return answer(status, Location=location)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Talk:
    """A client, what it waited, and what it got."""

    def __init__(self, *, timeout: float = 10, hosts: dict[str, Any] | None = None, **options: Any) -> None:
        self.waits: list[float] = []
        hosts = HostPolicy(**{"allow_private_addresses": True, **(hosts or {})})
        options = {"key": None, "min_download_rate": 1, **options}
        self.client = Client(timeout=timeout, wait=self.waits.append, hosts=hosts, **options)

    def post(self, url: str, content: bytes = b"{}") -> bytes:
        got: list[bytes] = []
        self.client.post(url, content, got.append, explain=lambda body: body.decode())
        return b"".join(got)

    def patiently(self, url: str) -> bytes:
        return self.client.repeat(lambda tried: self.post(url))

    def download(self, url: str) -> bytes:
        with self.client.download(url) as (_, chunks):
            return b"".join(chunks)


def silence(connection: socket.socket) -> None:
    connection.recv(1)  # until the client hangs up


def stalled(connection: socket.socket) -> None:
    connection.sendall(answer(200, Content_Length="100") + b"x" * 50)
    silence(connection)


def reset(connection: socket.socket) -> None:
    connection.sendall(answer(200, Content_Length="100") + b"x" * 50)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


BREAKS: dict[str, Answer] = {
    "shorter than its Content-Length": answer(200, Content_Length="100") + b"x" * 50,
    "chunked without an end": CHUNKED + b"32\r\n" + b"x" * 50 + b"\r\n",
    "chunked, cut within a chunk": CHUNKED + b"64\r\n" + b"x" * 50,
    "no chunks, though announced": CHUNKED + b"this is no number\r\n",
    "reset": reset,
    "nothing at all": b"",
    "no HTTP": b"220 mail.example.org ESMTP\r\n",
}


# --- time


@pytest.mark.parametrize("ask", ["post", "patiently", "download"])
def test_a_server_that_says_nothing_is_given_up_in_time(ask):
    with Server(silence) as server, pytest.raises(TemporaryFailure, match=r"no answer within 0\.1 seconds"):
        getattr(Talk(timeout=0.1), ask)(server.url)


@pytest.mark.parametrize("ask", ["post", "download"])
def test_a_body_that_stalls_is_given_up_in_time(ask):
    with Server(stalled) as server, pytest.raises(TemporaryFailure, match=r"stalled|no complete answer within 0\.1"):
        getattr(Talk(timeout=0.1), ask)(server.url)


def dripping(count: int, seconds: float) -> Callable[[socket.socket], None]:
    def drip(connection: socket.socket) -> None:
        connection.sendall(answer(200, Content_Length=str(count)))
        for _ in range(count):
            connection.sendall(b"x")
            time.sleep(seconds)

    return drip


def test_an_answer_that_drips_is_given_up_at_its_deadline():
    with Server(dripping(100_000, 0.01)) as server:
        began = time.monotonic()
        with pytest.raises(TemporaryFailure, match=r"no complete answer within 0\.3 seconds"):
            Talk(timeout=0.3).post(server.url)
        assert time.monotonic() - began < 5


def test_a_file_may_take_longer_than_the_timeout_as_long_as_bytes_arrive():
    with Server(dripping(30, 0.02)) as server:
        assert Talk(timeout=0.4).download(server.url) == b"x" * 30


def dripping_from(start: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Send `start`, then `drop` after `drop`, without an end: each arrives long before any time-out for silence."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(drop)
            time.sleep(0.01)

    return drip


ENDLESS = {
    "the status line": dripping_from(b"HTTP/1.1 200 ", b"O"),
    "a header": dripping_from(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "100 Continue": dripping_from(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "the extension of a chunk": dripping_from(CHUNKED + b"5;", b"x"),
    "trailers": dripping_from(CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n"),
    "a body": dripping_from(answer(200, Content_Length="1000000"), b"x"),
    "a refusal": dripping_from(answer(500, Content_Length="1000000"), b"x"),
}


@pytest.mark.parametrize("ask", ["post", "download"])
@pytest.mark.parametrize("what", ENDLESS)
def test_nothing_of_an_answer_may_drip_beyond_the_deadline(ask, what):
    with Server(ENDLESS[what]) as server:
        began = time.monotonic()
        with pytest.raises(TemporaryFailure, match=server.host):
            talk = Talk(timeout=0.3, min_download_rate=10_000)
            talk.client.repeat = lambda work: work(0)
            getattr(talk, ask)(server.url)
        assert time.monotonic() - began < 5


def test_a_download_slower_than_min_download_rate_is_ended():
    with Server(dripping(100_000, 0.01)) as server, pytest.raises(TemporaryFailure, match="min_download_rate, 1000 b"):
        Talk(timeout=0.3, min_download_rate=1000).download(server.url)


def test_our_own_work_does_not_count_against_the_timeout():
    body = b"x" * 500_000
    with Server(answer(200, body)) as server:
        got: list[bytes] = []

        def take(chunk: bytes) -> None:
            time.sleep(0.2)
            got.append(chunk)

        Talk(timeout=0.3).client.post(server.url, b"{}", take, explain=str)
        assert b"".join(got) == body
        assert len(got) >= 4


# --- answers that break off


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("ask", ["post", "download"])
def test_an_answer_that_breaks_off_is_a_temporary_failure(ask, how):
    with Server(BREAKS[how]) as server, pytest.raises(TemporaryFailure) as failure:
        getattr(Talk(), ask)(server.url)
    assert str(failure.value).startswith(server.url)
    assert "\n" not in str(failure.value)


def test_what_broke_off_is_asked_for_again():
    with Server(*BREAKS.values(), answer(200, b"whole")) as server:
        talk = Talk()
        for _ in range(2):
            with contextlib.suppress(TemporaryFailure):
                assert talk.patiently(server.url) == b"whole"
        assert len(server.requests) == len(BREAKS) + 1


def test_a_download_begins_again_only_before_its_first_byte():
    with Server(answer(503), b"", answer(200, b"whole")) as server:
        talk = Talk()
        assert talk.download(server.url) == b"whole"
        assert len(talk.waits) == 2


def test_a_port_without_a_server_is_a_temporary_failure_in_plain_words():
    with pytest.raises(TemporaryFailure, match=rf"^{GONE}/x: no connection: .*refused$") as failure:
        Talk().post(f"{GONE}/x")
    assert "object at" not in str(failure.value)


# --- refusals, temporary and not


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_these_answers_are_tried_again(status):
    with Server(answer(status), answer(status), answer(200, b"there")) as server:
        talk = Talk()
        assert talk.patiently(server.url) == b"there"
        assert len(talk.waits) == 2
        assert 0.5 <= talk.waits[0] <= 1 <= talk.waits[1] <= 2


def test_it_is_not_tried_for_ever():
    with Server(answer(500, b"cursor already closed")) as server:
        talk = Talk()
        with pytest.raises(TemporaryFailure, match="answered 500 Whatever: cursor already closed"):
            talk.patiently(server.url)
        assert len(server.requests) == TRIES == len(talk.waits) + 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 415, 501 - 90])
def test_these_answers_are_final(status):
    with Server(answer(status, b"its own words")) as server:
        talk = Talk()
        with pytest.raises(Refused, match=f"answered {status} Whatever: its own words") as refusal:
            talk.patiently(server.url)
        assert refusal.value.status == status
        assert (len(server.requests), talk.waits) == (1, [])
        with pytest.raises(Refused, match=f"answered {status}"):
            talk.download(server.url)


@pytest.mark.parametrize("status", [204, 206, 304])
def test_a_success_of_another_kind_is_none(status):
    with Server(answer(status)) as server, pytest.raises(PermanentFailure, match=f"answered {status}"):
        Talk().download(server.url)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_heeded(status):
    with Server(answer(status, Retry_After="7"), answer(status, Retry_After="0"), answer(200, b"there")) as server:
        talk = Talk()
        assert talk.patiently(server.url) == b"there"
        assert talk.waits == [7, 0]


def test_retry_after_as_a_date_is_heeded():
    def at(seconds: int) -> str:
        return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)

    with Server(answer(503, Retry_After=at(30)), answer(503, Retry_After=at(-30)), answer(200, b"there")) as server:
        talk = Talk()
        assert talk.patiently(server.url) == b"there"
        assert 20 < talk.waits[0] <= 30
        assert talk.waits[1] == 0


def test_a_longer_wait_is_left_to_the_job():
    with Server(answer(503, Retry_After=f"{LONGEST_WAIT + 1:g}")) as server:
        talk = Talk()
        with pytest.raises(TemporaryFailure) as failure:
            talk.patiently(server.url)
        assert failure.value.retry_after == LONGEST_WAIT + 1
        assert (len(server.requests), talk.waits) == (1, [])


NO_WAITS = ["soon", "-3", "1.5", "\xb2", "", "Fri, 99 Foo 2026 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 -0000"]


@pytest.mark.parametrize("value", NO_WAITS)
def test_a_retry_after_that_says_nothing_is_passed_over(value):
    with Server(answer(503, Retry_After=value).replace(b"\xc2\xb2", b"\xb2"), answer(200, b"there")) as server:
        talk = Talk()
        assert talk.patiently(server.url) == b"there"
        assert 0 <= talk.waits[0] <= 1


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_post_stays_a_post_through_redirects(status):
    with Server(redirect(status, "/moved?a=b"), answer(200, b"here")) as server:
        assert Talk(key="k", hosts={"site": server.url}).post(f"{server.url}/first", b'{"q": 1}') == b"here"
        assert server.requests[1].startswith(b"POST /moved?a=b HTTP/1.1\r\n")
        assert server.requests[1].endswith(b'\r\n\r\n{"q": 1}')
        assert server.headers(1)["content-type"] == "application/json"
        assert server.headers(1)["authorization"] == "k"


def test_a_get_is_redirected_too_relative_to_where_it_was_sent():
    with Server(redirect(302, "../b/file.csv"), answer(200, b"here")) as server:
        assert Talk().download(f"{server.url}/a/c/x") == b"here"
        assert server.requests[1].startswith(b"GET /a/b/file.csv ")


def test_a_redirect_without_a_location_is_a_refusal():
    with Server(answer(302)) as server, pytest.raises(Refused, match="answered 302"):
        Talk().post(server.url)


def test_a_loop_of_redirects_ends():
    with Server(redirect(302, "/again")) as server:
        with pytest.raises(PermanentFailure, match="redirected too often"):
            Talk().patiently(f"{server.url}/again")
        assert len(server.requests) == 6


def test_the_key_stays_with_its_host():
    with Server(answer(200, b"elsewhere")) as other, Server(redirect(302, f"{other.url}/x")) as server:
        assert Talk(key="k", hosts={"site": server.url}).post(server.url) == b"elsewhere"
        assert server.headers(0)["authorization"] == "k"
        assert "authorization" not in other.headers(0)


def test_the_key_goes_bare_and_cookies_not_at_all():
    with Server(answer(200, Set_Cookie="session=1; Path=/")) as server:
        talk = Talk(key="secret-key", hosts={"site": server.url})
        talk.post(server.url)
        talk.post(server.url)
        assert server.headers(1)["authorization"] == "secret-key"
        assert "cookie" not in server.headers(1)


@pytest.mark.parametrize(
    "location",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://[bad/",
        "http://example.org:port/",
        "http://h:99999/",
        "http://",
    ],
)
def test_a_redirect_to_what_is_no_usable_url_is_a_permanent_failure(location):
    with Server(redirect(302, location)) as server, pytest.raises(PermanentFailure):
        Talk().post(server.url)


def test_a_location_in_raw_utf8_is_understood():
    with Server(redirect(302, "/Forêt.csv"), answer(200, b"here")) as server:
        assert Talk().download(server.url) == b"here"
        assert server.requests[1].startswith(b"GET /For%C3%AAt.csv ")


# --- allowed hosts


def test_a_host_that_is_not_allowed_is_not_asked():
    with Server(answer(200)) as server:
        with pytest.raises(PermanentFailure, match="not one of the allowed_hosts"):
            Talk(hosts={"allowed_hosts": ["data.example.org"]}).post(server.url)
        assert server.requests == []


@pytest.mark.parametrize("entry", ["127.0.0.1", "{host}"])
def test_a_host_is_allowed_with_any_port_or_that_one(entry):
    with Server(answer(200, b"yes")) as server, Server(answer(200, b"other port")) as other:
        talk = Talk(hosts={"allowed_hosts": [entry.format(host=server.host)]})
        assert talk.post(server.url) == b"yes"
        if ":" in entry:
            with pytest.raises(PermanentFailure, match="not one of the allowed_hosts"):
                talk.post(other.url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed(status):
    with Server(answer(200)) as other, Server(redirect(status, f"{other.url}/")) as server:
        with pytest.raises(PermanentFailure, match="not one of the allowed_hosts"):
            Talk(hosts={"allowed_hosts": [server.host]}).download(server.url)
        assert other.requests == []


@pytest.mark.parametrize("trick", ["http://{other}\\@{host}/", "http://{other}\\.{host}/", "http:\\\\{other}/{host}"])
def test_no_spelling_of_a_url_leads_to_another_host_than_the_one_allowed(trick):
    with Server(answer(200)) as other, Server(answer(200)) as server:
        url = trick.format(other=other.host, host=server.host)
        for ask in ("post", "download"):
            with pytest.raises(PermanentFailure):
                getattr(Talk(hosts={"allowed_hosts": [server.host]}), ask)(url)
        server.answers = [redirect(302, url)]
        with pytest.raises(PermanentFailure):
            Talk(hosts={"allowed_hosts": [server.host]}).post(server.url)
        assert other.requests == []


@pytest.mark.parametrize("url", ["ftp://example.org/x", "file:///etc/passwd", "gopher://h/", "//example.org/"])
def test_only_http_is_fetched(url):
    with pytest.raises(PermanentFailure, match="only http and https are fetched"):
        Talk().download(url)


# --- secrets


def test_a_netrc_file_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password of-the-administrator\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Server(redirect(302, "/x"), answer(200)) as server:
        Talk().post(server.url)
        assert "authorization" not in server.headers(0)
        assert "authorization" not in server.headers(1)


def test_the_user_and_password_of_a_url_are_sent_unless_there_is_a_key():
    with Server(answer(200)) as server:
        url = f"http://me:pass%20word@{server.host}/"
        Talk().download(url)
        Talk(key="k", hosts={"site": url}).download(url)
        assert server.headers(0)["authorization"] == "Basic bWU6cGFzcyB3b3Jk"
        assert server.headers(1)["authorization"] == "k"


FAILURES: dict[str, Answer] = {
    **BREAKS,
    "silence": silence,
    "stalled": stalled,
    "refused": answer(403),
    "broken": answer(500),
    "redirected without end": redirect(302, ""),
    "redirected to no URL": redirect(302, "http://[me:hunter2/?token=hunter2"),
    "redirected to no host": redirect(302, "http://me:hunter2@*.example.org/?token=hunter2"),
    "redirected to no port": redirect(302, "http://me:hunter2@127.0.0.1:99999/?token=hunter2"),
    "redirected to no port elsewhere": redirect(302, "http://me:hunter2@example.org:99999/?token=hunter2"),
    "redirected to another scheme": redirect(302, "ftp://me:hunter2@127.0.0.1/?token=hunter2"),
    "redirected to a closed port": redirect(302, GONE.replace("//", "//me:hunter2@") + "/?token=hunter2"),
    "bad gzip": answer(200, b"this is no gzip", Content_Encoding="gzip"),
}


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("ask", ["post", "download"])
def test_no_message_holds_what_a_url_keeps_secret(ask, how):
    with Server(FAILURES[how]) as server:
        url = f"http://me:hunter2@{server.host}/path?token=hunter2"
        if how == "redirected without end":
            server.answers = [redirect(302, url)]
        talk = Talk(timeout=0.2, key="hunter2")
        with pytest.raises((TemporaryFailure, PermanentFailure)) as failure:
            getattr(talk, ask)(url)
        assert "hunter2" not in str(failure.value)
        assert "token" not in str(failure.value)


@pytest.mark.parametrize(
    "url", [f"{GONE.replace('//', '//me:hunter2@')}/?token=hunter2", "ftp://me:hunter2@h/?hunter2"]
)
def test_no_message_about_a_url_that_leads_nowhere_holds_a_secret(url):
    with pytest.raises((TemporaryFailure, PermanentFailure)) as failure:
        Talk().post(url)
    assert "hunter2" not in str(failure.value)


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key in one file, signed by itself."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Server(answer(200, b"over TLS"), tls=context) as server:
        yield server


def test_a_certificate_that_is_not_trusted_is_refused(tls_server):
    with pytest.raises(TemporaryFailure, match=r": its certificate is not trusted: .*self[- ]signed"):
        Talk(key="k", hosts={"site": tls_server.url}).post(tls_server.url)
    assert tls_server.requests == []


def test_a_certificate_that_the_administrator_trusts_is_taken(tls_server, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    assert Talk().post(tls_server.url) == b"over TLS"


# --- compression


def test_an_answer_may_come_compressed():
    rows = json.dumps([[number, "x" * (number % 50)] for number in range(20_000)]).encode()
    with Server(answer(200, gzip.compress(rows), Content_Encoding="gzip")) as server:
        assert Talk().post(server.url) == rows
        assert "gzip" in server.headers(0)["accept-encoding"]


def test_a_compressed_answer_is_taken_piece_by_piece():
    packed = gzip.compress(b"x" * 50_000_000)
    with Server(answer(200, packed, Content_Encoding="gzip")) as server:
        sizes: list[int] = []
        take, most = lambda chunk: sizes.append(len(chunk)), 50_000_000
        Talk().client.post(server.url, b"", take, explain=bytes.decode, max_bytes=most)
        assert sum(sizes) == 50_000_000
        assert max(sizes) <= 1_000_000


def test_a_file_is_asked_for_as_it_is():
    with Server(answer(200, gzip.compress(b"rows"), Content_Encoding="gzip")) as server:
        assert Talk().download(f"{server.url}/rows.csv") == b"rows"  # though gzip was not asked for
        assert server.headers(0)["accept-encoding"] == "identity"


def test_a_gz_file_stays_one():
    packed = gzip.compress(b"rows")
    with Server(answer(200, packed, Content_Encoding="gzip")) as server:
        assert Talk().download(f"{server.url}/rows.csv.gz?x=1") == packed


# --- files


def test_a_file_arrives_with_its_headers_and_every_byte():
    content = bytes(range(256)) * 2000
    with Server(answer(200, content, Content_Type="text/csv")) as server, Talk().client.download(server.url) as got:
        headers, chunks = got
        assert headers["content-type"] == "text/csv"
        assert b"".join(chunks) == content


def test_an_empty_file_is_a_file():
    with Server(answer(200)) as server:
        assert Talk().download(server.url) == b""


def test_a_file_without_an_announced_length_arrives():
    with Server(b"HTTP/1.1 200 OK\r\n\r\nall of it", CHUNKED + b"4\r\nall \r\n5\r\nof it\r\n0\r\n\r\n") as server:
        assert Talk().download(server.url) == b"all of it"
        assert Talk().download(server.url) == b"all of it"


def test_several_threads_may_use_one_client():
    with Server(answer(200, b"x" * 1000)) as server:
        talk, got = Talk(), []
        threads = [threading.Thread(target=lambda: got.append(talk.post(server.url))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert got == [b"x" * 1000] * 16


# --- addresses


@pytest.mark.parametrize("ask", ["post", "patiently", "download"])
def test_a_private_address_is_not_fetched_from_unless_its_host_is_named(ask):
    with Server(answer(200, b"inside")) as server:
        with pytest.raises(PermanentFailure, match=r"its address is not public; .*ckan_hosts"):
            getattr(Talk(hosts={"allow_private_addresses": False}), ask)(server.url)
        assert server.requests == []
        for hosts in ({"ckan_hosts": ["127.0.0.1"]}, {"allowed_hosts": [server.host]}, {"site": server.url}):
            assert getattr(Talk(hosts={"allow_private_addresses": False, **hosts}), ask)(server.url) == b"inside"


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]", "[::1]"])
def test_no_spelling_of_a_private_address_is_fetched_from(name):
    with Server(answer(200, b"inside")) as server:
        url = f"http://{name}:{server.host.rpartition(':')[2]}/"
        with pytest.raises((PermanentFailure, TemporaryFailure)) as failure:
            Talk(hosts={"allow_private_addresses": False}).post(url)
        assert server.requests == []
        assert "not public" in str(failure.value) or "no connection" in str(failure.value)


def test_a_redirect_to_a_private_address_is_not_followed():
    with Server(answer(200, b"inside")) as inside, Server(redirect(307, inside.url)) as outside:
        talk = Talk(hosts={"allow_private_addresses": False, "ckan_hosts": [outside.host]})
        with pytest.raises(PermanentFailure, match=f"{inside.url}: its address is not public"):
            talk.download(outside.url)
        assert (len(outside.requests), inside.requests) == (1, [])


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch):
    """A name that is public when it is checked, and means this machine a moment later."""
    real, answers = socket.getaddrinfo, iter(["1.1.1.1"])

    def rebinding(host: str, *rest: Any, **options: Any) -> Any:
        if host != "rebinding.example":
            return real(host, *rest, **options)
        return real(next(answers, "127.0.0.1"), *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with Server(answer(200, b"inside")) as server:
        url = f"http://rebinding.example:{server.host.rpartition(':')[2]}/"
        with pytest.raises(TemporaryFailure, match=r"rebinding\.example"):  # nothing answers there
            Talk(timeout=0.3, hosts={"allow_private_addresses": False}).post(url)
        assert server.requests == []
        assert Talk(hosts={"allow_private_addresses": True}).post(url) == b"inside"  # the name works all the same


# --- the key


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_for_want_of_a_withheld_key_names_ckan_hosts(status, caplog):
    caplog.set_level("INFO", "ckanpackager")
    with Server(answer(status)) as server:
        talk = Talk(key="secret-key", hosts={"site": "https://data.example.org/api"})
        with pytest.raises(Refused, match="the host of api_url and to ckan_hosts only"):
            talk.download(server.url)
        assert "authorization" not in server.headers(0)
    assert "requested without the API key" in caplog.text
    assert "secret-key" not in caplog.text


def test_a_redirect_to_a_login_page_for_want_of_a_withheld_key_names_ckan_hosts():
    with Server(redirect(302, "/user/login?came_from=/file"), answer(200, b"<html>Log in")) as server:
        with pytest.raises(PermanentFailure, match=r"redirects to a login page; .*ckan_hosts"):
            Talk(key="secret-key", hosts={"site": "https://data.example.org/api"}).download(f"{server.url}/file")
        assert len(server.requests) == 1


def test_a_key_goes_to_ckan_hosts_too():
    with Server(answer(200, b"file")) as server:
        talk = Talk(key="secret-key", hosts={"site": "http://data.example.org/api", "ckan_hosts": [server.host]})
        assert talk.download(server.url) == b"file"
        assert server.headers(0)["authorization"] == "secret-key"


# --- size


def test_the_body_of_a_refusal_is_read_no_further_than_a_message_needs():
    sent = 0

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 409 Conflict\r\n\r\n")
        while sent < 100_000_000:
            sent += connection.send(b"x" * 100_000)

    with Server(endless) as server, pytest.raises(Refused, match=r"409 Conflict: x{65536}$"):
        Talk().post(server.url)
    assert sent < 20_000_000


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_larger_than_it_may_be_is_ended(packed):
    body, headers = b" " * 1_000_000, {}
    if packed:
        body, headers = gzip.compress(body), {"Content_Encoding": "gzip"}
    with Server(answer(200, body, **headers)) as server:
        got: list[bytes] = []
        with pytest.raises(TemporaryFailure, match="more than 300,000 bytes"):
            Talk().client.post(server.url, b"{}", got.append, explain=str, max_bytes=300_000)
        assert len(b"".join(got)) <= 300_000


def test_a_compressed_bomb_takes_no_memory():
    """300 MB of zeros in 1 MB of gzip, or gzip again in a few kB: it is decompressed no further than it is read."""
    program = """
import re, sys
from ckanpackager.errors import CkanpackagerError
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client
client = Client(key=None, timeout=60, hosts=HostPolicy(allow_private_addresses=True))
for ask in (lambda: client.post(sys.argv[1], b"{}", lambda chunk: None, explain=lambda body: ""),):
    try:
        ask()
    except CkanpackagerError as error:
        print(error)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""
    once = gzip.compress(bytes(300_000_000), 1)
    twice = gzip.compress(once, 9)
    for status in (200, 409):
        for body, encoding in ((once, "gzip"), (twice, "gzip, gzip")):
            with Server(answer(status, body, Content_Encoding=encoding)) as server:
                command = [sys.executable, "-c", program, server.url]
                said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
            message, megabytes = said.splitlines()
            assert "more than 25,165,824 bytes" in message or "409" in message
            assert int(megabytes) < 150


# --- odd headers

ODD = [
    (200, b"Content-Length: abc"),
    (200, b"Content-Length: -1"),
    (200, b"Content-Length: 5, 6"),
    (200, b"Content-Length: " + b"9" * 5000),
    (200, b"Content-Encoding: gzip"),
    (200, b"Content-Encoding: deflate"),
    (200, b"Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip, gzip"),
    (200, b"Content-Encoding: \xff"),
    (200, b"Transfer-Encoding: chunked"),
    (200, b"Transfer-Encoding: chunked, chunked"),
    (200, b"\xff\xfe: x"),
    (200, b"no colon at all"),
    (200, b"X: " + b"x" * 100_000),
    (200, b"\r\n".join(b"X-%d: x" % number for number in range(1000))),
    (302, b"Location: http://["),
    (302, b"Location: http://a:99999/"),
    (302, b"Location: http://a:b/"),
    (302, b"Location: //"),
    (302, b"Location: http://\xff/"),
    (302, b"Location: http://" + b"a" * 300 + b"/"),
    (302, b"Location: http://a..b/"),
    (302, b"Location: file:///etc/passwd"),
    (302, b"Location: \xc3\x28"),
    (503, b"Retry-After: " + b"9" * 5000),
    (503, b"Retry-After: -1"),
    (503, b"Retry-After: \xb2"),
    (503, b"Retry-After: Wed, 99 Nov 99999 99:99:99 GMT"),
    (503, b"Retry-After: Fri, 01 Jan 0001 00:00:00 -0000"),
]


def test_lengths_that_contradict_each_other_are_a_temporary_failure():
    with Server(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nxyz") as server:
        with pytest.raises(TemporaryFailure, match="the answer cannot be read"):
            Talk().post(server.url)


@pytest.mark.parametrize("ask", ["post", "download"])
@pytest.mark.parametrize(("status", "header"), ODD, ids=[f"{status} {header[:40]!r}" for status, header in ODD])
def test_an_odd_header_is_a_failure_in_words_or_none(status, header, ask):
    response = b"HTTP/1.1 %d Odd\r\n%s\r\nConnection: close\r\n\r\nxyz" % (status, header)
    with Server(response) as server:
        talk = Talk(timeout=5)
        talk.client.repeat = lambda work: work(0)
        with contextlib.suppress(TemporaryFailure, PermanentFailure):
            assert getattr(talk, ask)(server.url) in (b"xyz", b"")  # zlib takes these letters for the start of nothing
