"""The line of a Nagios plugin, and its exit code."""

import re
import time

from support.workspace import Workspace

from ckanpackager.maintenance.finding import error, ok, warning
from ckanpackager.monitoring.nagios import performance, plugin_line

DATA = {"queue": "3", "free": "12B"}


def test_the_line_tells_the_state_what_is_wrong_and_the_measured_values() -> None:
    fine, odd, broken = ok("mail: answers"), warning("clock: 9 s behind"), error("stats_db: gone | really")
    assert plugin_line([fine, fine], DATA) == (0, "CKANPACKAGER OK - 2 checks |queue=3 free=12B")
    assert plugin_line([fine, odd], {}) == (1, "CKANPACKAGER WARNING - clock: 9 s behind")
    assert plugin_line([odd, broken, broken], DATA) == (
        2,
        "CKANPACKAGER CRITICAL - stats_db: gone / really; stats_db: gone / really; and 1 warnings |queue=3 free=12B",
    )


def test_the_line_is_one_and_not_endless() -> None:
    code, line = plugin_line([error(f"x: {'long ' * 1000}\nsecond")], DATA)
    assert code == 2 and "\n" not in line and len(line) < 1100 and line.endswith("|queue=3 free=12B")


def test_performance_data_has_units(workspace: Workspace) -> None:
    assert workspace.store
    workspace.queue("http://127.0.0.1:9/api/3/action/datastore_search")
    measured = performance(workspace.settings, workspace.spool, time.time() + 60)
    assert measured["queue"] == "1" and measured["failed"] == "0"
    assert re.fullmatch(r"(5|6)\ds", measured["overdue"])
    assert re.fullmatch(r"\d+B", measured["free"]) and re.fullmatch(r"\d+B", measured["store"])
