"""The spool against a model of it, whatever workers, receivers and administrators do, in any order."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import QUEUES, PackageUrl, Queue
from ckanpackager.spool.claim import Claim
from ckanpackager.spool.queue import Spool

REQUEST = PackageUrl(resource_id="r", email="ann@example.org", resource_url="https://c.example.org/f.csv")
queues = st.sampled_from(QUEUES)
which = st.integers(min_value=0, max_value=1000)


@dataclass
class Known:
    """What the model knows of a job: the folder that it is in, when it is due, what was last written, who holds it."""

    queue: Queue
    folder: str
    due: float = 0
    written: int = 0
    claim: Claim | None = None

    @property
    def orphaned(self) -> bool:
        return self.folder == "claimed" and self.claim is None


class SpoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.spool = Spool(Path(tempfile.mkdtemp()))
        self.spool.prepare()
        self.known: dict[str, Known] = {}
        self.began = time.time()
        self.now = self.began + 1000  # later than the time of any file that this run writes, however long it takes
        self.listings: dict[Queue, Iterator[Claim]] = {}

    def teardown(self) -> None:
        for job in self.known.values():
            if job.claim:
                job.claim.close()
        shutil.rmtree(self.spool.directory)

    # What the model says

    def claimable(self, queue: Queue) -> list[str]:
        """The jobs that a worker may claim, in the order in which it should: those of dead workers, then by arrival."""
        own = sorted((id, job) for id, job in self.known.items() if job.queue == queue)
        dead = [id for id, job in own if job.orphaned]
        return dead + [id for id, job in own if job.folder == queue and job.due <= self.now]

    def some(self, chosen: int, **kind: Any) -> str | None:
        """One of the jobs for which all this holds, if there is one."""
        found = [id for id, job in self.known.items() if all(getattr(job, name) == kind[name] for name in kind)]
        return found[chosen % len(found)] if found else None

    def held(self, chosen: int) -> tuple[Known, Claim]:
        found = [(job, job.claim) for job in self.known.values() if job.claim]
        return found[chosen % len(found)]

    def take(self, claim: Claim, *, over: bool) -> None:
        job = self.known[claim.job.id]
        assert job.claim is None, "a job that is held was claimed"
        assert (claim.job.queue, claim.job.attempts_before_retry, claim.taken_over) == (job.queue, job.written, over)
        job.folder, job.claim = "claimed", claim

    # What may happen

    @rule(queue=queues)
    def enqueue(self, queue: Queue) -> None:
        id = self.spool.enqueue(Job(request=REQUEST, created=self.began + len(self.known), queue=queue))
        assert id not in self.known
        self.known[id] = Known(queue, queue)

    @rule(queue=queues)
    def claim_next(self, queue: Queue) -> None:
        expected = self.claimable(queue)
        claim = next(self.spool.claim_due(queue, lambda: self.now), None)
        assert (claim and claim.job.id) == (expected[0] if expected else None)
        if claim:
            self.take(claim, over=self.known[claim.job.id].orphaned)

    @rule(queue=queues)
    def continue_claiming(self, queue: Queue) -> None:
        """A worker that listed the queue a while ago: much may have happened since."""
        claims = self.listings.setdefault(queue, self.spool.claim_due(queue, lambda: self.now))
        if (claim := next(claims, None)) is None:
            del self.listings[queue]
            return
        assert claim.job.id in self.claimable(queue)
        self.take(claim, over=self.known[claim.job.id].orphaned)

    @rule(chosen=which, queue=queues)
    def claim_by_id_whether_due_or_not(self, chosen: int, queue: Queue) -> None:
        if id := self.some(chosen, folder=queue):
            claim = self.spool.claim(id, queue)
            assert claim
            self.take(claim, over=False)

    @rule(chosen=which)
    def retry(self, chosen: int) -> None:
        if id := self.some(chosen, folder="failed"):
            claim = self.spool.claim(id, "failed")
            assert claim
            self.take(claim, over=False)
            self.let_wait(self.known[id], claim, self.now)

    @rule(chosen=which, folder=st.sampled_from([*QUEUES, "claimed", "failed", "done"]))
    def claim_what_is_elsewhere_or_held(self, chosen: int, folder: str) -> None:
        if self.known:
            id = list(self.known)[chosen % len(self.known)]
            if self.known[id].folder != folder or self.known[id].claim:
                assert self.spool.claim(id, folder) is None

    @precondition(lambda self: any(job.claim for job in self.known.values()))
    @rule(chosen=which)
    def save(self, chosen: int) -> None:
        job, claim = self.held(chosen)
        job.written += 1
        claim.save(attempts_before_retry=job.written)

    @precondition(lambda self: any(job.claim for job in self.known.values()))
    @rule(chosen=which, done=st.booleans())
    def stage(self, chosen: int, done: bool) -> None:
        """A staged record counts only once it is said to."""
        job, claim = self.held(chosen)
        with contextlib.suppress(ZeroDivisionError), claim.staged_save(attempts_before_retry=job.written + 1) as record:
            if not done:
                raise ZeroDivisionError
            record()
        job.written += done

    @precondition(lambda self: any(job.claim for job in self.known.values()))
    @rule(chosen=which, delay=st.integers(min_value=-10, max_value=100))
    def release(self, chosen: int, delay: int) -> None:
        job, claim = self.held(chosen)
        self.let_wait(job, claim, self.now + delay)

    def let_wait(self, job: Known, claim: Claim, due: float) -> None:
        job.written += 1
        claim.release(due, attempts_before_retry=job.written)
        job.folder, job.due, job.claim = job.queue, due, None

    @precondition(lambda self: any(job.claim for job in self.known.values()))
    @rule(chosen=which, folder=st.sampled_from(["done", "failed"]))
    def end(self, chosen: int, folder: str) -> None:
        job, claim = self.held(chosen)
        job.written += 1
        (claim.finish if folder == "done" else claim.fail)(attempts_before_retry=job.written)
        job.folder, job.claim = folder, None

    @precondition(lambda self: any(job.claim for job in self.known.values()))
    @rule(chosen=which)
    def die(self, chosen: int) -> None:
        """All that the kernel does for a dead process is to close its files."""
        job, claim = self.held(chosen)
        claim.close()
        job.claim = None

    @rule(seconds=st.integers(min_value=1, max_value=60))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    # What is always so

    @invariant()
    def every_job_is_in_exactly_one_place(self) -> None:
        assert self.spool.names("tmp") == []
        for folder in (*QUEUES, "claimed", "done", "failed"):
            there = sorted(f"{id}.json" for id, job in self.known.items() if job.folder == folder)
            assert self.spool.names(folder) == there
            assert self.spool.length(folder) == len(there)

    @invariant()
    def every_job_is_found_with_what_was_last_written(self) -> None:
        for id, job in self.known.items():
            found = self.spool.find(id)
            assert found and (found[0], found[1].id, found[1].attempts_before_retry) == (job.folder, id, job.written)

    @invariant()
    def what_waits_knows_its_time_and_its_place(self) -> None:
        for queue in QUEUES:
            waiting = sorted(id for id, job in self.known.items() if job.folder == queue)
            for position, id in enumerate(waiting):
                assert self.spool.jobs_ahead(id, queue) == position
                if due := self.known[id].due:
                    assert abs(self.spool.not_before(Job(id=id, request=REQUEST, created=0, queue=queue)) - due) < 1e-3


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
