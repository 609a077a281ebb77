"""What a Nagios or Icinga plugin says: one line, performance data behind a bar, and an exit code.

The rules are those of the Monitoring Plugins development guidelines.
"""

from collections.abc import Sequence

from ckanpackager.archives.space import measure_store
from ckanpackager.config.settings import Settings
from ckanpackager.errors import CkanpackagerError, one_line
from ckanpackager.jobs.request import QUEUES
from ckanpackager.maintenance.finding import Finding, worst
from ckanpackager.spool.queue import Spool
from ckanpackager.status import DAY

UNKNOWN = 3
_STATES = {"ok": (0, "OK"), "warning": (1, "WARNING"), "error": (2, "CRITICAL")}
_LONGEST = 1000  # characters; Nagios reads 4096 bytes of a line


def plugin_line(findings: Sequence[Finding], measured: dict[str, str]) -> tuple[int, str]:
    """The exit code and the line: the findings of the worst level, and the measured values."""
    level = worst(findings)
    code, state = _STATES[level]
    told = [finding for finding in findings if finding.level == level]
    words = f"{len(told)} checks" if level == "ok" else "; ".join(finding.words for finding in told)
    if level == "error" and (warnings := sum(finding.level == "warning" for finding in findings)):
        words += f"; and {warnings} warnings"
    data = " ".join(f"{name}={value}" for name, value in measured.items())
    text = one_line(words.replace("|", "/"), _LONGEST)  # a bar begins the performance data
    return code, f"CKANPACKAGER {state} - {text}" + (f" |{data}" if data else "")


def performance(settings: Settings, spool: Spool, now: float) -> dict[str, str]:
    """Numbers of jobs, seconds that a job has been due, bytes of the store; with their units of measurement."""
    measured = {}
    try:
        measured["queue"] = str(sum(spool.length(queue) for queue in QUEUES))
        measured |= {"running": str(spool.length("claimed")), "failed": str(spool.changed_since("failed", now - DAY))}
        due = min((since for queue in QUEUES if (since := spool.overdue_since(queue, now))), default=now)
        measured["overdue"] = f"{now - due:.0f}s"
        space = measure_store(settings)
        measured["store"] = f"{space.used}B"
        if space.free is not None:
            measured["free"] = f"{space.free}B"
    except CkanpackagerError:
        return measured  # a finding says it
    return measured
