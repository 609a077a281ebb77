"""Twenty workers at once on five hundred jobs: every one is served, and none twice."""

from collections import Counter

from support.workspace import PATIENCE, Workspace, small_ckan

JOBS = 500
WORKERS = 20
REQUESTS = 400  # different ones; the others are equal to some of them


def test_twenty_workers_serve_five_hundred_jobs_once_each(workspace: Workspace) -> None:
    workspace.configure(workers={"fast": WORKERS, "slow": 1})
    with small_ckan() as api:
        ids = [
            workspace.queue(api, email=f"user{number}@example.org", limit=1 + number % REQUESTS)
            for number in range(JOBS)
        ]
        workers = [workspace.start("process") for _ in range(WORKERS)]
        for worker in workers:
            assert worker.communicate(timeout=2 * PATIENCE) == ("", "")
            assert worker.returncode == 0
        searches = [request.params for request in api.log if request.action == "datastore_search"]
        builds = Counter(params["limit"] for params in searches if params["limit"])
    assert workspace.where() == {"done": JOBS}
    assert [name.removesuffix(".json") for name in workspace.spool.names("done")] == sorted(ids)
    assert Counter(mail["To"] for mail in workspace.mails) == {f"user{number}@example.org": 1 for number in range(JOBS)}
    assert workspace.totals() == {"emails": JOBS, "requests": JOBS, "errors": 0}
    assert builds.total() == len(workspace.archives) == REQUESTS
    stories = list(workspace.spool.jobs("done"))
    assert all(len(job.attempts) == 1 for job in stories)
    assert len({job.attempts[0].worker for job in stories}) > 1
