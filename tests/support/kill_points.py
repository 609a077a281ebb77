"""Workers that kill themselves at a chosen moment: one process that forks a `ckanpackager process` for every line.

A line is `CONFIGURATION MOMENT`; the answer is `killed EVENT` or `ended CODE EVENTS`.  The moments are numbered:
before and after everything that leaves a trace outside of the process, in the order in which it happens.  Nothing is
left to time: the process is there, in the middle of its work, and in the next instruction it is not.
"""

import os
import signal
import smtplib
import sys
from collections.abc import Callable
from typing import Any

from ckanpackager.cli.main import main
from ckanpackager.http_client import Client
from ckanpackager.mail import send, smtp_session
from ckanpackager.statistics.recorder import Recorder
from ckanpackager.worker import loop

assert send and loop  # all that a worker needs is loaded before the first fork
TRACES = [
    *((os, name) for name in ("rename", "fsync", "unlink", "pwrite", "mkdir", "close")),
    (Client, "post"),
    (smtplib.SMTP, "rcpt"),
    (smtp_session.Session, "deliver"),
    (Recorder, "record_request"),
]


def count_moments(moment: int) -> list[str]:
    """From now on, die at the given moment; the list of events grows as they happen."""
    events: list[str] = []

    def pass_by(event: str) -> None:
        events.append(event)
        if len(events) == moment:
            os.write(1, f"killed {event}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*words: Any, **options: Any) -> Any:
            pass_by(f"before {name}")
            value = function(*words, **options)
            pass_by(f"after {name}")
            return value

        return call

    for owner, name in TRACES:
        setattr(owner, name, traced(name, getattr(owner, name)))
    return events


def run(configuration: str, moment: int) -> None:
    events = count_moments(moment)
    sys.argv = ["ckanpackager", "--config", configuration, "-q", "process"]
    try:
        main()
    except SystemExit as ended:
        os.write(1, f"ended {ended.code} {len(events)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    for line in sys.stdin:
        configuration, moment = line.split()
        if os.fork() == 0:
            run(configuration, int(moment))
        os.wait()
