"""Programs and libraries that some tests need; where one is missing, they are skipped and the summary names it."""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

import pytest

SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/usr/bin", "/sbin"])


def needs(program: str, *, debian: str, directories: Iterable[Path] = ()) -> str:
    """Where a program is; if it is missing, the test (or, while a module is loaded, the module) is skipped.

    Args:
        debian: the packages of Debian that bring it.
        directories: where to look first.
    """
    if found := shutil.which(program, path=os.pathsep.join([*map(str, directories), SYSTEM_PATH])):
        return found
    return pytest.skip(f"{program} is not installed (Debian: {debian})", allow_module_level=True)


def needs_library(name: str, *, extra: str) -> ModuleType:
    """A Python library; if it is missing, the test or the module is skipped.

    Args:
        extra: the extra of pyproject.toml that brings the library.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        return pytest.skip(f"{name} is not installed (extra: {extra})", allow_module_level=True)


def needs_libraries(*names: str, extra: str) -> None:
    """Several libraries, which are not imported."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (extra: {extra})", allow_module_level=True)


def is_there(need: Callable[[], object]) -> bool:
    """Whether a call of one of these functions would skip nothing."""
    try:
        need()
    except pytest.skip.Exception:
        return False
    return True


def how_to_run(reasons: Iterable[str]) -> list[str]:
    """The commands that install what skipped tests miss.

    Args:
        reasons: why tests were skipped, as `needs` and `needs_library` say it.
    """
    text = "\n".join(reasons)
    packages = sorted({name for names in re.findall(r"\(Debian: (.+?)\)", text) for name in names.split()})
    extras = sorted(set(re.findall(r"\(extra: (.+?)\)", text)))
    commands = [f"apt-get install {' '.join(packages)}"] if packages else []
    return commands + [f'.venv/bin/pip install -e ".[{",".join(extras)}]"'] * bool(extras)


def make_certificate(directory: Path, *names: str) -> Path:
    """A certificate for these names (`DNS:localhost`), which nobody signed, with its key; without it in `….pem.crt`."""
    openssl = needs("openssl", debian="openssl")
    path = directory / "server.pem"
    what = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command = [openssl, *what.split(), "-addext", f"subjectAltName={','.join(names)}", "-keyout", str(path)]
    subprocess.run([*command, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path
