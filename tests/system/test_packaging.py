"""The source distribution and the wheel: built here, whole, and in working order."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from email import message_from_string
from pathlib import Path
from typing import NamedTuple

import pytest
from support.programs import needs, needs_library
from support.workspace import PATIENCE

import ckanpackager
from ckanpackager.config.example import documented_example

needs_library("build", extra="test")
ROOT = Path(__file__).parents[2]
LEFT_OUT = {".gitignore"}  # of the files that git knows
NOT_COPIED = shutil.ignore_patterns(
    *(".git", ".venv*", ".demo", ".hypothesis", ".*_cache", "build", "dist", "*.egg-info", "__pycache__")
)
DATA = f"ckanpackager-{ckanpackager.__version__}.data/data"
SHARE = f"{DATA}/share/ckanpackager"


class Distributions(NamedTuple):
    sdist: Path
    wheel: Path


def run(*command: str | Path, cwd: Path, environ: Mapping[str, str] = {}) -> str:
    """Run a command; what it printed."""
    environment = {**os.environ, **environ}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, timeout=PATIENCE, check=False, **pipes)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Both, built from a copy of the source: in the order of `python -m build`, the wheel from the sdist."""
    source, out = tmp_path_factory.mktemp("source") / "ckanpackager", tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, source, ignore=NOT_COPIED)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=source)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Distributions(sdist, wheel)


@pytest.fixture(scope="module")
def unpacked(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    shutil.unpack_archive(built.sdist, folder)
    return folder / built.sdist.name.removesuffix(".tar.gz")


def test_the_names_are_those_of_this_version(built: Distributions) -> None:
    assert built.sdist.name == f"ckanpackager-{ckanpackager.__version__}.tar.gz"
    assert built.wheel.name == f"ckanpackager-{ckanpackager.__version__}-py3-none-any.whl"


def test_the_sdist_has_every_file_of_the_repository(unpacked: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, so nothing says which files belong to it")
    git = needs("git", debian="git")
    known = run(git, "-c", f"safe.directory={ROOT}", "ls-files", "-z", cwd=ROOT).split("\0")
    there = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*")}
    assert {name for name in known if name and (ROOT / name).exists()} - LEFT_OUT - there == set()


def test_the_wheel_has_every_module_and_the_files_beside_them(built: Distributions) -> None:
    package = ROOT / "ckanpackager"
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".so")}
    assert {f"ckanpackager/{path.relative_to(package)}" for path in files} - names == set()
    assert not {name for name in names if name.startswith(("tests/", "bench/"))}


def test_the_wheel_has_the_documented_example_the_man_pages_and_the_files_for_servers(built: Distributions) -> None:
    contrib = ROOT / "contrib"
    folders = ("apache", "celery", "cgi", "cron", "logrotate", "nginx", "prometheus", "systemd")
    shipped = [path for folder in folders for path in (contrib / folder).iterdir()]
    with zipfile.ZipFile(built.wheel) as wheel:
        assert wheel.read(f"{SHARE}/ckanpackager.yaml.example").decode() == documented_example()
        for path in (ROOT / "docs" / "man").glob("*.1"):
            assert wheel.read(f"{DATA}/share/man/man1/{path.name}") == path.read_bytes()
        for path in shipped:
            assert wheel.read(f"{SHARE}/{path.relative_to(contrib)}") == path.read_bytes()


def test_the_metadata_says_what_the_package_is(built: Distributions) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(wheel.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == ("ckanpackager", ckanpackager.__version__)
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Author"] == "ckanpackager developers"
    assert metadata.get_all("Project-URL") and metadata.get_all("Classifier") and metadata["Keywords"]
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def test_a_unit_test_passes_in_the_unpacked_sdist(unpacked: Path) -> None:
    where = run(sys.executable, "-c", "import ckanpackager; print(ckanpackager.__file__)", cwd=unpacked)
    assert Path(where.strip()).is_relative_to(unpacked)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/unit/jobs/test_request.py"]
    assert " passed" in run(*command, "-v", cwd=unpacked)


def test_the_demo_runs_from_the_wheel(built: Distributions, tmp_path: Path) -> None:
    home = tmp_path / "installed"
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", "--target", home]
    run(sys.executable, "-m", "pip", "install", *offline, built.wheel, cwd=tmp_path)
    environ = {"PYTHONPATH": str(home)}
    where = run(
        sys.executable, "-c", "import ckanpackager; print(ckanpackager.__file__)", cwd=tmp_path, environ=environ
    )
    assert Path(where.strip()).is_relative_to(home)
    said = run(home / "bin" / "ckanpackager", "demo", "--rows", "50", cwd=tmp_path, environ=environ)
    assert "resource.csv" in said and "Subject: " in said


def test_twine_finds_nothing_wrong(built: Distributions, tmp_path: Path) -> None:
    needs_library("twine", extra="judges")
    said = run(sys.executable, "-m", "twine", "check", "--strict", *built, cwd=tmp_path)
    assert said.count("PASSED") == 2
