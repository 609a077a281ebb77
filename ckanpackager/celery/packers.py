"""All packers, as the dispatcher sees them: send a task, see how it stands, find out what got lost.

A task is sent under an id that follows from its archive's name, so the next dispatcher of a job finds its task.  It
may be sent twice without harm: the second packer finds the archive, or the first packer at work.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ckanpackager.celery import broker
from ckanpackager.celery.messages import TASK, Outcome, PackagingFailed, Seal, task_id
from ckanpackager.config.settings import Settings
from ckanpackager.errors import MESSAGE_LENGTH, OUR_FAULT, ConfigError, TemporaryFailure, one_line
from ckanpackager.jobs.request import QUEUES, Queue
from ckanpackager.packagers.build import Order

_DEATHS = ("WorkerLostError", "TimeLimitExceeded", "Terminated")  # what Celery says of a process that has died
_ANSWER = 1.0  # seconds that packers have for an answer


class Report(Struct, frozen=True):
    """How a task stands: waiting (or unknown), begun by a packer, or ended with an outcome.

    `life` changes with each sign of life of its packer; nothing is `known` of a task that waits, or was never sent.
    """

    known: bool = True
    begun: bool = False
    rows: int = 0
    expected: int | None = None
    life: str = ""
    outcome: Outcome | None = None


class Packers:
    """The packers of a configuration.  Every method raises TemporaryFailure if the broker cannot be reached."""

    def __init__(self, settings: Settings) -> None:
        if not settings.receiver.secret:
            raise ConfigError("secret: missing, and engine: celery needs it")
        self._seal = Seal(settings.receiver.secret)
        # Threads share both.  Results are read one by one: the sender must subscribe to none.
        self._app = broker.application(settings, result_backend="disabled://")
        self._results = broker.application(settings, result_backend_thread_safe=True).backend
        self._address = broker.address(settings.engine)

    def task_id(self, order: Order) -> str:
        return task_id(order.directory)

    def send(self, id: str, order: Order, queue: Queue) -> None:
        """Order an archive.  The e-mail address stays here."""
        sealed = self._seal.close(replace(order, request=replace(order.request, email="")))
        shown = {"kind": order.request.task, "resource": order.request.resource_id}
        with self._explained():
            self._app.send_task(TASK, [sealed], shown, task_id=id, queue=queue)

    def report(self, id: str) -> Report:
        with self._explained():
            found = self._results.get_task_meta(id, cache=False)
            state, result = found["status"], found["result"]
        if state == broker.BEGUN:
            life = f"{result['packer']} {result['beat']} {result['rows']}"
            return Report(begun=True, rows=result["rows"], expected=result["expected"], life=life)
        if state == "SUCCESS":
            return Report(outcome=self._opened(id, result))
        if state == "FAILURE":
            return Report(outcome=self._failure(id, result))
        return Report(known=state != broker.WAITING)

    def forget(self, id: str) -> None:
        """Forget how a task ended, so that it can be sent again."""
        with self._explained():
            self._results.forget(id)

    def withdraw(self, id: str) -> None:
        """Tell packers not to begin with a task; what one has begun goes on."""
        with self._explained():
            self._results.store_result(id, None, broker.WITHDRAWN)

    def known(self, ids: Collection[str]) -> set[str]:
        """Which of these tasks wait in a queue, or with a packer; the others are lost."""
        with self._explained(), self._app.connection_for_read() as connection:
            waiting = _waiting(connection, ids)
            asked = self._app.control.inspect(timeout=_ANSWER, connection=connection).query_task(list(ids)) or {}
        return waiting | {id for tasks in asked.values() for id in tasks}

    def consumed_queues(self) -> dict[str, set[str]]:
        """The packers that answer, and the queues that each takes tasks from."""
        with self._explained(), self._app.connection_for_read() as connection:
            asked = self._app.control.inspect(timeout=_ANSWER, connection=connection).active_queues() or {}
        return {packer: {queue["name"] for queue in queues} for packer, queues in asked.items()}

    def seeing(self, path: str) -> dict[str, bool]:
        """Which of the packers see a file."""
        with self._explained(), self._app.connection_for_read() as connection:
            inspect = self._app.control.inspect(timeout=_ANSWER, connection=connection)
            asked = inspect._request(broker.SEES, path=path) or {}
        return {packer: bool(answer.get("sees")) for packer, answer in asked.items()}

    def _opened(self, id: str, sealed: Any) -> Outcome:
        try:
            outcome = self._seal.open(sealed, Outcome)
        except ValueError:
            return Outcome(error=one_line(sealed, MESSAGE_LENGTH))
        return outcome if outcome.task == id else Outcome(error="the broker holds the outcome of another task")

    def _failure(self, id: str, error: Any) -> Outcome:
        if isinstance(error, PackagingFailed) and error.args:
            return self._opened(id, error.args[0])
        words = one_line(f"the packer failed: {type(error).__name__}: {error}", MESSAGE_LENGTH)
        return Outcome(kind="died" if type(error).__name__ in _DEATHS else "temporary", error=words)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of Celery, kombu, redis, or another backend's library: they share no base
            words = one_line(error, MESSAGE_LENGTH) or type(error).__name__
            raise TemporaryFailure(
                f"broker {self._address}: {words}; does it run, may this machine reach it?",
                public=OUR_FAULT,
                kind="worker",
            ) from error


def _waiting(connection: Any, ids: Collection[str]) -> set[str]:
    """Which of these tasks wait in the queues.

    A queue of Redis can be read.  Other brokers tell but how many wait: while any do, ours may be among them.
    """
    channel = connection.default_channel
    if connection.transport.driver_type == "redis":
        messages = (json.loads(message) for queue in QUEUES for message in channel.client.lrange(queue, 0, -1))
        return {message["headers"]["id"] for message in messages} & set(ids)
    lengths = (channel.queue_declare(queue, passive=True).message_count for queue in QUEUES)
    return set(ids) if any(lengths) else set()
