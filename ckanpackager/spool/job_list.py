"""A list of jobs for administrators: the newest first, of any state, requester or resource."""

import heapq
from collections.abc import Iterator

from ckanpackager.errors import BadRequest
from ckanpackager.jobs import job as jobs
from ckanpackager.jobs.email_address import comparable
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.request import QUEUES
from ckanpackager.spool.job_files import content, id_time, is_id
from ckanpackager.spool.listing import STATES, Listing


def list_jobs(
    spool: Listing,
    state: str | None = None,
    *,
    since: float | None = None,
    email: str | None = None,
    resource_id: str | None = None,
) -> Iterator[tuple[str, Job]]:
    """The jobs with the folders that they are in, the newest first; files are read as the iterator goes on.

    Those that move on or are broken meanwhile are left out.  Raises TemporaryFailure.

    Args:
        spool: The spool.
        state: waiting (in one of the queues), claimed, done, failed, or a queue; None: all.
        since: Only jobs requested since then, in seconds since 1970.
        email: Only jobs for that e-mail address, compared without case.
        resource_id: Only jobs for that resource, or dataset.
    """
    folders = STATES if state is None else QUEUES if state == "waiting" else (state,)
    listed = [[(name, folder) for name in reversed(spool.names(folder))] for folder in folders]
    earliest = "" if since is None else id_time(since)
    last = ""
    for name, folder in heapq.merge(*listed, reverse=True):
        if name < earliest:
            return
        if name == last or not is_id(name.removesuffix(".json")):
            continue  # it moved from one folder to another while these were listed; or it is no job's name
        try:
            job = jobs.decode(name.removesuffix(".json"), content(spool.directory / folder / name))
        except (OSError, BadRequest):
            continue
        last = name
        of_requester = email is None or comparable(job.request.email) == comparable(email)
        if of_requester and resource_id in (None, job.request.resource_id):
            yield folder, job
