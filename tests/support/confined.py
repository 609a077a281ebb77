"""Running a program as a unit of systemd would, where no systemd runs: by the kernel's own means, from the unit's file.

What is done: the user without capabilities and without new ones; a file system that is read-only but for the unit's
ReadWritePaths; a /tmp of its own; the filter of system calls, of address families, of namespaces, and of memory that is
writable and executable.  What is not: devices, /proc, the kernel's own files, the clock, ProtectHome.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from support.programs import needs

STATE = "/var/lib/ckanpackager"  # what the units may write to
_MOUNTS = f"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /var/lib
mkdir {STATE}
mount --bind "$1" {STATE}
case "$2" in /root/*)  # a Python that other users cannot reach
    mkdir /var/lib/python
    mount --bind "$2" /var/lib/python
    mount -t tmpfs -o mode=755 tmpfs /root
    mkdir -p "$2"
    mount --bind /var/lib/python "$2"
esac
mount -o remount,ro,bind /
mount -t tmpfs -o mode=1777 tmpfs /tmp
cd {STATE}
shift 2
exec "$@"
"""


class Unit:
    """The settings of a unit's [Service] section."""

    def __init__(self, path: Path) -> None:
        lines = re.findall(r"^(\w+)=(.*)$", path.read_text().partition("[Service]")[2], re.MULTILINE)
        self.settings: dict[str, list[str]] = {}
        for key, value in lines:
            self.settings.setdefault(key, []).append(value)

    def words(self, key: str) -> list[str]:
        return " ".join(self.settings.get(key, [])).split()

    def is_on(self, key: str) -> bool:
        return self.settings.get(key) == ["true"]


def confined(unit: Unit, directory: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs a command confined, in a directory that stands for STATE.  Skips where none can."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root can confine a program")
    if str(Path(sys.prefix).resolve()).startswith("/tmp/"):
        pytest.skip("the program itself is in /tmp, which the units hide")
    assert STATE in unit.words("ReadWritePaths") and unit.settings["ProtectSystem"] == ["strict"]
    rules = {
        "allowed": sorted(_system_calls(unit)),
        "families": [
            {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}[name] for name in unit.words("RestrictAddressFamilies")
        ],
        "no_executable_memory": unit.is_on("MemoryDenyWriteExecute"),
        "no_namespaces": unit.is_on("RestrictNamespaces"),
    }
    launch = [sys.executable, str(Path(__file__).with_name("confine.py")), json.dumps(rules), *command]
    return ["unshare", "--mount", "sh", "-c", _MOUNTS, "sh", str(directory), sys.base_prefix, *launch]


def _system_calls(unit: Unit) -> Iterator[str]:
    for name in unit.words("SystemCallFilter"):
        assert not name.startswith("~"), "not known here"
        yield from _members(name)


@cache
def _members(name: str) -> frozenset[str]:
    """The system calls of a set, as systemd itself tells them."""
    if not name.startswith("@"):
        return frozenset([name])
    analyze = needs("systemd-analyze", debian="systemd")
    told = subprocess.run([analyze, "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=True)
    words = [line.strip() for line in told.stdout.splitlines()[1:]]
    inner = (_members(word) for word in words if word and not word.startswith("#"))
    return frozenset().union(*inner)
