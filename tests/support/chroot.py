"""This machine's file system as a chroot in which everything may be changed: the changes stay in memory and vanish."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.workspace import PATIENCE

SOURCE = "/mnt"  # where the copy of the source is, in there
_SET_UP = """
set -e
cd "$1"
mount -t tmpfs tmpfs disk
mkdir disk/upper disk/work
mount -t overlay overlay -o lowerdir=/,upperdir=disk/upper,workdir=disk/work root
mount --rbind /dev root/dev
mount -t proc proc root/proc
mount --bind "$2" root/mnt
echo ready
cat
"""


class Chroot:
    def __init__(self, root: Path, holder: int) -> None:
        self.root, self._holder = root, holder

    def run(self, command: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a line of a shell in there, as root, in the folder of the source."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CKANPACK"))}
        system = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        enter = ["nsenter", f"--mount=/proc/{self._holder}/ns/mnt", "chroot", str(self.root)]
        return subprocess.run(
            [*enter, "sh", "-c", f"cd {SOURCE} && {command}"],
            env=inherited | system | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )


@contextmanager
def chroot(directory: Path, source: Path) -> Iterator[Chroot]:
    """A chroot as long as the context lasts; the test is skipped where there can be none."""
    if os.geteuid() or not all(map(shutil.which, ("unshare", "nsenter", "chroot"))):
        pytest.skip("only root can change a machine, in a chroot of its own")
    for name in ("root", "disk"):
        (directory / name).mkdir()
    command = ["unshare", "--mount", "sh", "-c", _SET_UP, "sh", str(directory), str(source)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as holder:
        assert holder.stdin and holder.stdout and holder.stderr
        try:
            if holder.stdout.readline() != "ready\n":
                pytest.skip(f"no chroot can be made here: {holder.stderr.read().strip()}")
            yield Chroot(directory / "root", holder.pid)
        finally:
            holder.stdin.close()  # which ends it, and its mounts with it
