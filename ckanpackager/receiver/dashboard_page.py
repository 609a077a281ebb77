"""The dashboard as HTML: values in, text out.  Every value is escaped: most of them were written by requesters."""

import html
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from ckanpackager import __version__
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.words import format_in_words
from ckanpackager.receiver.dashboard_charts import charts
from ckanpackager.receiver.dashboard_facts import Facts, WaitingJob
from ckanpackager.report.charts import STYLE as CHART_STYLE
from ckanpackager.spool.recent import Failure
from ckanpackager.spool.worker_slots import Worker
from ckanpackager.status import NamedStatus, duration, human_size

Token = Callable[[str, str], str]
RELOADS = "reload=yes"  # the query of a page that reloads (WCAG 2.2.1: only who asks for it gets that)
DONE = {
    "retry": "Job {job} waits again.",
    "cancel": "Job {job} is cancelled; the next worker tells its requester.",
}


def page(facts: Facts, token: Token, *, said: str = "", reloads: bool = False) -> str:
    """The body of the page.

    Args:
        facts: How the service stands.
        token: Makes the token of a button, for an action and a job.
        said: What was just done.
        reloads: Whether the page reloads.
    """
    named = _section("Named packages", _named(facts)) if facts.named else ""
    jobs = _section("Workers", _workers(facts)) + _section("Waiting", _waiting(facts, token))
    failures = _section("Failed in the last 24 hours", _failures(facts, token))
    board = f'<div class="board">\n<div>{jobs}</div>\n<div>{failures}{named}</div>\n</div>'
    statistics = charts(facts.statistics) if facts.statistics else ""
    return "\n".join([_top(facts, said, reloads), _numbers(facts), board, statistics])


def refusal(words: str, link: str) -> str:
    """The body of a page that says why something was refused, with a link to the dashboard."""
    said = words[:1].upper() + words[1:]
    return f'<h1>This cannot be done</h1>\n<p>{html.escape(said)}.</p>\n<p><a href="{link}">Dashboard</a></p>'


def _top(facts: Facts, said: str, reloads: bool) -> str:
    other = '<a href="?">Do not reload it</a>' if reloads else f'<a href="?{RELOADS}">Reload it every minute</a>'
    lines = [
        "<h1>Dashboard</h1>",
        f'<p class="soft">{_time(facts.now)}, ckanpackager {__version__}. <a href="?">Load again</a> · {other}</p>',
    ]
    lines += [f'<p class="said" role="status">{html.escape(said)}</p>'] if said else []
    lines += [f'<p class="alert" role="alert">{_code(words)}</p>' for words in facts.alerts]
    lines += [f'<p class="alert">Not known: {html.escape(words)}</p>' for words in facts.unknown]
    return "\n".join(lines)


def _numbers(facts: Facts) -> str:
    service, queues, store = facts.service, facts.service.queues, facts.store
    oldest = "none" if service.oldest_waiting is None else duration(service.oldest_waiting)
    numbers = {
        "Waiting, fast": f"{queues['fast']:,}",
        "Waiting, slow": f"{queues['slow']:,}",
        "Oldest waiting": oldest,
        "In progress": f"{queues['claimed']:,}",
        "Failed, 24 hours": f"{service.failed_last_24_hours:,}",
        "Failed, kept": f"{queues['failed']:,}",
        "Done, kept": f"{queues['done']:,}",
    }
    if facts.statistics:
        numbers |= {"Served in all": f"{facts.statistics.served:,}"}
    if store:
        expiry = "none" if store.next_expiry is None else _in(store.next_expiry - facts.now)
        free = {} if store.free is None else {"Disk free": human_size(store.free)}
        numbers |= {"Archives": f"{store.archives:,}", "Store": human_size(store.used), **free, "Next expiry": expiry}
    alarming = {"Failed, 24 hours"} if service.failed_last_24_hours else set()
    tiles = "".join(_tile(name, value, alarming=name in alarming) for name, value in numbers.items())
    return f'<dl class="numbers">{tiles}</dl>'


def _tile(name: str, value: str, *, alarming: bool) -> str:
    mark = ' class="alarming"' if alarming else ""
    return f"<div><dt>{name}</dt><dd{mark}>{html.escape(value)}</dd></div>"


def _in(seconds: float) -> str:
    return f"in {duration(seconds)}" if seconds > 0 else "due"


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>"


def _workers(facts: Facts) -> str:
    if not facts.workers:
        return "<p>No worker is active.</p>"
    return _list(_worker(worker, job, facts.now) for worker, job in facts.workers)


def _worker(worker: Worker, job: Job | None, now: float) -> str:
    about = f"{html.escape(worker.slot)}, for {duration(max(0.0, now - worker.since))}, {html.escape(worker.worker)}"
    return f"<div>{_link(worker.job, job)} <span>{about}</span>{_progress(worker)}</div>"


def _progress(worker: Worker) -> str:
    if not worker.expected:
        return f"<p>{worker.rows:,} rows</p>" if worker.rows else "<p>no rows yet</p>"
    rows = min(worker.rows, worker.expected)
    bar = f'<progress value="{rows}" max="{worker.expected}"></progress>'
    return f"<p><label>{worker.rows:,} of {worker.expected:,} rows {bar}</label></p>"


def _waiting(facts: Facts, token: Token) -> str:
    if not facts.waiting:
        return "<p>No job waits.</p>"
    more = facts.service.queues["fast"] + facts.service.queues["slow"] - len(facts.waiting)
    rest = f"<p>{more:,} more {'waits' if more == 1 else 'wait'}.</p>" if more > 0 else ""
    return _list(_waiting_job(waiting, token, facts.now) for waiting in facts.waiting) + rest


def _waiting_job(waiting: WaitingJob, token: Token, now: float) -> str:
    job = waiting.job
    tried = job.attempts[-1].error if job.attempts else None
    failed = f"<p>{html.escape(tried)}</p>" if tried else ""
    later = f", next attempt {_in(waiting.not_before - now)}" if waiting.not_before > now else ""
    about = f"{_about(job)}, {job.queue}, requested {duration(max(0.0, now - job.created))} ago{later}"
    cancel = "" if job.cancelled else f"<details><summary>Cancel</summary>{_button('cancel', job, token)}</details>"
    return f"<div>{_link(job.id, job)} <span>{about}</span>{failed}</div>{cancel}"


def _failures(facts: Facts, token: Token) -> str:
    if not facts.failures:
        return "<p>None.</p>"
    more = facts.service.failed_last_24_hours - len(facts.failures)
    words = "`ckanpackager jobs --failed` lists them."
    rest = f"<p>{more:,} more {'has' if more == 1 else 'have'} failed: {_code(words)}</p>" if more > 0 else ""
    return _list(_failure(failure, token, facts.now) for failure in facts.failures) + rest


def _failure(failure: Failure, token: Token, now: float) -> str:
    job, reason = failure.job, f"<p>{html.escape(failure.reason)}</p>"
    ago = f"{duration(max(0.0, now - failure.at))} ago"
    if job is None:
        return f"<div><code>{html.escape(failure.name)}</code> <span>no valid job, {ago}</span>{reason}</div>"
    if job.needs_key:
        action = f"<p>{_code(f'Needs its API key: `ckanpackager retry {job.id} --key KEY`')}</p>"
        return f"<div>{_link(job.id, job)} <span>{_about(job)}, {ago}</span>{reason}{action}</div>"
    return f"<div>{_link(job.id, job)} <span>{_about(job)}, {ago}</span>{reason}</div>{_button('retry', job, token)}"


def _named(facts: Facts) -> str:
    return _list(_named_package(named, facts.now) for named in facts.named)


def _named_package(named: NamedStatus, now: float) -> str:
    built = f"built {duration(max(0.0, now - named.published))} ago" if named.published else "not built yet"
    size = f", {human_size(named.size)}" if named.size else ""
    looked = f", source looked at {duration(max(0.0, now - named.looked_at))} ago" if named.looked_at else ""
    name, url = html.escape(named.name), html.escape(named.download_url or "")
    failed = f"<p>{html.escape(named.failed)}</p>" if named.failed else ""
    linked = f'<a href="{url}">{name}</a>' if url else name
    return f"<div>{linked} <span>{built}{size}{looked}</span>{failed}</div>"


def _button(action: str, job: Job, token: Token) -> str:
    name = {"retry": "Retry", "cancel": "Cancel this job"}[action]
    resource = html.escape(str(job.request.resource_id))
    return (
        f'<form method="post" action="dashboard/{action}">'
        f'<input type="hidden" name="job" value="{html.escape(job.id)}">'
        f'<input type="hidden" name="token" value="{token(action, job.id)}">'
        f'<button aria-label="{name}: {resource}">{name}</button></form>'
    )


def _link(id: str, job: Job | None) -> str:
    words = html.escape(str(job.request.resource_id)) if job else html.escape(id)
    return f'<a href="jobs/{html.escape(id)}">{words}</a>'


def _about(job: Job) -> str:
    kind = format_in_words(job.request) or job.request.task
    return html.escape(f"{kind} from {job.request.host}" + (f", package {job.package}" if job.package else ""))


def _list(items: Iterator[str]) -> str:
    return '<ul class="jobs">' + "\n".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _code(words: str) -> str:
    """Words as HTML, what stands between backticks as code."""
    parts = html.escape(words).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def _time(moment: float) -> str:
    at = datetime.fromtimestamp(moment, UTC)
    return f'<time datetime="{at:%Y-%m-%dT%H:%M:%SZ}">{at:%-d %B %Y, %H:%M} UTC</time>'


_OWN_STYLE = """
header, main, footer { max-width: 76rem }
main { margin-top: 2.5rem }
h1 { margin-bottom: .4rem }
h2 { font-size: 1.15rem; font-weight: 600; margin: 0 0 .6rem }
section { margin: 2.25rem 0 0 }
.soft { color: var(--soft); font-size: .875rem }
.said, .alert { padding: .6rem .9rem; border-left: .3rem solid var(--accent); background: var(--tint) }
.alert { border-color: var(--alarm) }
:root { --tint: #f1f5f9; --alarm: #c2410c }
@media (prefers-color-scheme: dark) { :root { --tint: #1d242c; --alarm: #fb923c } }
.board { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 0 2.5rem }
.numbers { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .75rem; margin: 1.5rem 0 0;
  padding: 0; border: 0 }
.numbers div { background: var(--tint); border-radius: .4rem; padding: .6rem .8rem }
.numbers dd { font-size: 1.1875rem; font-weight: 600; margin: 0; font-variant-numeric: tabular-nums }
.numbers .alarming { color: var(--alarm) }
.jobs { list-style: none; margin: 0; padding: 0; border-top: 1px solid var(--line) }
.jobs li { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: start; justify-content: space-between;
  padding: .55rem 0; border-bottom: 1px solid var(--line) }
.jobs li > div { flex: 1 1 16rem; min-width: 0 }
.jobs a { font-weight: 600 }
.jobs span { color: var(--soft); font-size: .875rem }
.jobs p { margin: .2rem 0 0; font-size: .9375rem }
button { font: inherit; font-size: .875rem; padding: .35rem .9rem; border-radius: .4rem; cursor: pointer;
  border: 1px solid var(--accent); background: transparent; color: var(--accent) }
button:focus-visible, summary:focus-visible { outline: .2rem solid var(--ink); outline-offset: .15rem }
summary { cursor: pointer; color: var(--accent); font-size: .875rem; padding: .35rem 0 }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.5rem 2rem }
figure { margin: 0; min-width: 0 }
figcaption { color: var(--soft); font-size: .875rem; margin-bottom: .3rem }
.chart { display: block; width: 100%; height: auto }
"""
STYLE = CHART_STYLE + _OWN_STYLE
