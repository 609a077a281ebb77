"""Work in threads while the caller is busy: pages are fetched while one is written."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Self, TypeVar

T = TypeVar("T")


class ThreadPool:
    """A few threads; unlike those of concurrent.futures they never keep a process alive.

    That matters to a worker that is told to stop while a server keeps it waiting.
    """

    def __init__(self, threads: int) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = threads
        self._closed = False
        for _ in range(threads):
            threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._closed = True  # what has not begun will not begin
        for _ in range(self._threads):
            self._tasks.put(None)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()

        def task() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        self._tasks.put(task)
        return future

    def _run(self) -> None:
        while task := self._tasks.get():
            if not self._closed:
                task()
            del task  # or its result would live on until the next one's
