"""Several hosts on one spool: workers in chroots with other host names, as different users of one group."""

import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from support.web_servers import GROUP, prefix
from support.workspace import FakeSmtpServer, Workspace, until

from ckanpackager.demo.ckan_api import CkanApi

USERS = {"host-a": 61001, "host-b": 61002}
HOST = (
    'set -e; hostname "$1"; mkdir "$2"; mount --rbind / "$2"; '
    'exec chroot --userspec="$3" --groups= "$2" "$4" -m ckanpackager --config "$5" process --loop --max-time 60'
)
"""A host: a name and a root of its own; `$5` is the configuration that all share."""


def may_unshare() -> bool:
    words = ["unshare", "--uts", "--mount", "true"]
    return (
        os.geteuid() == 0
        and shutil.which("unshare") is not None
        and not subprocess.call(words, stderr=subprocess.DEVNULL)
    )


@pytest.mark.skipif(not may_unshare(), reason="needs root, and namespaces")
def test_workers_of_two_hosts_share_a_spool(smtp: FakeSmtpServer, api: CkanApi, open_directory: Path) -> None:
    shared = open_directory / "shared"
    for path in (open_directory, shared, shared / "spool", shared / "store"):
        path.mkdir(exist_ok=True)
        shutil.chown(path, "root", GROUP)
        path.chmod(0o2775 if path == open_directory else 0o2770)
    workspace = Workspace(shared, workers={"fast": 4}, **smtp.settings)
    shutil.chown(workspace.file, "root", GROUP)
    workspace.file.chmod(0o640)
    jobs = [workspace.queue(api, limit=number % 3 + 1, q=f"n{number}", email=f"{number}@x.org") for number in range(40)]
    with prefix() as installed:
        hosts = [
            subprocess.Popen(
                [
                    "unshare",
                    "--uts",
                    "--mount",
                    "--propagation",
                    "private",
                    "sh",
                    "-c",
                    HOST,
                    "host",
                    name,
                    str(open_directory / name),
                    f"{user}:{GROUP}",
                    installed.python,
                    str(workspace.file),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                umask=0o077,
                cwd="/",
            )
            for name, user in USERS.items()
        ]
        try:
            until(lambda: workspace.where().get("done") == len(jobs) or any(host.poll() for host in hosts))
        finally:
            for host in hosts:
                host.terminate()
            said = [host.communicate(timeout=60)[0] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], said
    assert workspace.where() == {"done": 40}
    names = Counter(workspace.find(job)[1].attempts[-1].worker.partition(":")[0] for job in jobs)
    assert set(names) == set(USERS)
    assert len(smtp.mails) == len({mail["To"] for mail in smtp.mails}) == len(workspace.archives) == 40
    assert workspace.totals()["requests"] == 40
