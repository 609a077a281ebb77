"""The loop of `engine: celery`: jobs in flight, each in a thread that waits for its packer, mails and counts.

Everything that a job's steps promise holds as with one job at a time: each thread has its own claim and slot.
"""

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ckanpackager.config.settings import Workers
from ckanpackager.worker.loop import POLL, Backlog, Tally
from ckanpackager.worker.runner import Runner
from ckanpackager.worker.signals import Stop


def dispatch(backlog: Backlog, runner: Runner, stop: Stop, workers: Workers) -> Tally:
    """Run jobs until none waits, or the worker is to stop; then wait until those in flight have ended.

    Raises TemporaryFailure if the spool fails.
    """
    tally = Tally()
    flying: set[Future[bool | None]] = set()
    with ThreadPoolExecutor(max(1, workers.fast + workers.slow), "job") as threads:
        while not stop.told:
            flying = _landed(flying, tally)
            if not backlog.is_over and (found := backlog.claim()):
                flying.add(threads.submit(runner.run, *found))
            elif flying:
                wait(flying, POLL, FIRST_COMPLETED)
            elif backlog.is_over or not backlog.loop:
                break
            else:
                stop.wait(POLL)
    _landed(flying, tally)
    return tally


def _landed(flying: set[Future[bool | None]], tally: Tally) -> set[Future[bool | None]]:
    """Count the jobs that have ended; the others."""
    ended = {job for job in flying if job.done()}
    for job in ended:
        if (served := job.result()) is not None:
            tally.count(served)
    return flying - ended
