"""Work in threads while the caller is busy: the next page is fetched while this one is written."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Self, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class ThreadPool:
    """A few threads; unlike those of concurrent.futures they never keep a process alive.

    That matters to a worker that is told to stop while a server keeps it waiting.
    """

    def __init__(self, threads: int) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = threads
        for _ in range(threads):
            threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
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
            task()
            del task  # or its result would live on until the next one's


def prefetch(items: Iterator[T]) -> Iterator[T]:
    """Get the next item while the caller works on this one."""
    with ThreadPool(1) as pool:
        upcoming = pool.submit(lambda: next(items, None))
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(lambda: next(items, None))
            yield item


def ordered_map(work: Callable[[U], T], tasks: Iterator[U], at_once: int) -> Iterator[T]:
    """Do tasks in threads, `at_once` at a time, and give their results in the order of the tasks."""
    running: deque[Future[T]] = deque()
    with ThreadPool(at_once) as pool:
        for task in tasks:
            running.append(pool.submit(partial(work, task)))
            if len(running) > at_once:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
