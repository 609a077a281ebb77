"""The command line against a receiver elsewhere: `-p HOST`, with the original's options."""

import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from msgspec import Struct

from ckanpackager.cli.output import echo
from ckanpackager.cli.progress import CRON, WORKER_PATIENCE, WorkerHint
from ckanpackager.errors import BadRequest, NotAuthorized, TemporaryFailure
from ckanpackager.jobs.faults import in_words
from ckanpackager.status import JobReport, ServiceStatus

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

DEFAULTS = Path("/etc/ckanpackager/ckanpackager-cli.json")
TIMEOUT = 60  # seconds
MAX_BYTES = 16 * 1024 * 1024  # of a response
POLL = 1.0


class Options(Struct, frozen=True):
    """The options, given before the command, as with the original, or after it."""

    host: str | None = None
    defaults: Path | None = None
    no_defaults: bool = False
    secret: str | None = None

    def merged_with(self, others: "Options") -> "Options":
        """These options, and the others' where one is not given."""
        return Options(
            self.host or others.host,
            self.defaults or others.defaults,
            self.no_defaults or others.no_defaults,
            self.secret or others.secret,
        )


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options, which it gets as `given`, merged with those before the command."""

    @functools.wraps(command)
    def with_options(context: Any, /, **words: Any) -> Any:
        names = ("host", "defaults", "no_defaults", "secret")
        return command(context, given=Options(*map(words.pop, names)).merged_with(context.remote), **words)

    return bare_options(click.pass_obj(with_options))


def bare_options(command: F) -> F:
    """Give a command the options, as `host`, `defaults`, `no_defaults` and `secret`."""
    where = f"JSON file of defaults [default: {DEFAULTS}]."
    for option in (
        click.option("-s", "secret", metavar="SECRET", help="That receiver's secret, instead of the defaults' one."),
        click.option("-D", "no_defaults", is_flag=True, help="No file of defaults."),
        click.option("-d", "defaults", metavar="FILE", type=click.Path(path_type=Path), help=where),
        click.option("-p", "host", metavar="HOST", help="Ask a receiver elsewhere, as in http://127.0.0.1:8765."),
    ):
        command = option(command)
    return command


def read_defaults(given: Options) -> dict[str, Any]:
    """The parameters in the file of defaults; the standard one may be missing.  Raises BadRequest."""
    if given.no_defaults:
        return {}
    file = given.defaults or DEFAULTS
    try:
        values = msgspec.json.decode(file.read_bytes())
    except FileNotFoundError:
        if given.defaults is None:
            return {}
        raise BadRequest(f"{file}: there is no such file") from None
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"{file}: {in_words(error)}") from None
    if not isinstance(values, dict):
        raise BadRequest(f'{file}: expected a JSON object, as in {{"api_url": "..."}}')
    return values


def call(given: Options, path: str, parameters: dict[str, Any], *wanted: str) -> dict[str, Any]:
    """Send a request to the receiver; its response, which has the fields that are `wanted`.

    The secret is the given one, else that of the defaults.  Raises BadRequest, NotAuthorized and TemporaryFailure with
    the receiver's own words.
    """
    import requests
    from urllib3.exceptions import HTTPError

    host = str(given.host)
    url = (host if "://" in host else f"http://{host}").rstrip("/") + path
    secret = given.secret or read_defaults(given).get("secret")
    answer: dict[str, Any] = {}
    try:
        response = requests.post(
            url, json={**parameters, "secret": secret}, timeout=TIMEOUT, allow_redirects=False, stream=True
        )
        with response, contextlib.suppress(ValueError, RecursionError):
            answer = msgspec.json.decode(_body(response), type=dict[str, Any])
    except (requests.RequestException, HTTPError) as error:
        raise TemporaryFailure(f"{url}: no answer ({type(error).__name__}); is the receiver running there?") from error
    if response.is_redirect:
        raise TemporaryFailure(f"{url} redirects to {response.headers['Location']}; name that host instead")
    if not answer.keys() & {"success", "status"} or (response.ok and not answer.keys() >= set(wanted)):
        raise TemporaryFailure(f"{url} answered {response.status_code}, but not as a receiver does; is it one?")
    if response.ok:
        return answer
    words = f"{url}: {answer.get('message') or answer.get('msg') or response.reason}"
    kinds = {401: NotAuthorized, 400: BadRequest}
    raise kinds.get(response.status_code, TemporaryFailure)(words)


def _body(response: Any) -> bytes:
    """The body of a response, as far as one of a receiver goes."""
    body = b""
    while len(body) < MAX_BYTES and (chunk := response.raw.read1(MAX_BYTES - len(body), decode_content=True)):
        body += chunk
    return body


def job_report(given: Options, id: str) -> JobReport:
    """What the receiver knows of a job."""
    return _as(
        JobReport, given, {"message": "", **call(given, "/status", {"job": id, "report": "yes"}, "state", "task")}
    )


def service_status(given: Options) -> ServiceStatus:
    """How the receiver's service stands."""
    return _as(ServiceStatus, given, call(given, "/status", {}, "worker_count", "queue_length"))


def _as(kind: type[T], given: Options, answer: dict[str, Any]) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise TemporaryFailure(f"{given.host} did not answer as a receiver does: {in_words(error)}") from None


def follow(given: Options, id: str, *, quiet: bool) -> int:
    """Wait until a job there has ended; the exit code."""
    hint = WorkerHint(WORKER_PATIENCE + CRON, quiet=quiet)  # an idle worker there is not told of
    while (job := job_report(given, id)).state in ("waiting", "running"):
        due = job.state == "waiting" and not job.next_attempt
        hint.look(idle=due and service_status(given).worker_count == 0)
        time.sleep(POLL)
    if job.state == "done":
        if not quiet:
            echo(job.download_url or job.state)
        return 0
    echo(f"ckanpackager: {id}: {job.message or job.state}", err=True)
    return 1
