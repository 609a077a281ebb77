"""What the import of a module loads and does, seen from a new process."""

import subprocess
import sys
from pathlib import Path

import pytest

import ckanpackager

ROOT = Path(ckanpackager.__file__).parent
HEAVY_FOR_CGI = (  # under CGI every request pays for it
    *("requests", "urllib3", "sqlalchemy", "filelock", "lxml", "orjson", "click", "waitress"),
    *("isal", "asyncio", "ssl", "email", "http.client"),
)


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("spool.queue, config.load", ("requests", "sqlalchemy", "click", "filelock", "orjson", "urllib3")),
        ("receiver.application", HEAVY_FOR_CGI),
        ("config.load", HEAVY_FOR_CGI),
        ("cli.process", ("requests", "sqlalchemy")),
        (
            "worker.pipeline, worker.engine, worker.dispatcher, archives.object_store, statistics, maintenance.check",
            ("celery", "kombu", "redis", "cryptography", "obstore", "psycopg"),
        ),
        ("celery.packers, celery.packer", ("celery", "kombu", "redis", "cryptography")),
    ],
    ids=str,
)
def test_what_starts_often_imports_nothing_heavy(modules: str, heavy: tuple[str, ...]) -> None:
    names = ", ".join(f"ckanpackager.{name.strip()}" for name in modules.split(","))
    code = f"import sys, {names}\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("path", "parameters", "needless"),
    [
        ("/package_datastore", "&api_url=https://ckan.example.org&resource_id=a&email=a@example.org", HEAVY_FOR_CGI),
        ("/statistics", "", ()),  # which SQLAlchemy needs typing_extensions for
    ],
)
def test_the_cgi_script_loads_what_the_request_needs_alone(
    tmp_path: Path, path: str, parameters: str, needless: tuple[str, ...]
) -> None:
    (tmp_path / "ckanpackager.yaml").write_text("secret: of the test\ndownload_url: https://data.example.org\n")
    body = f"secret=of the test{parameters}".encode()
    environ = {
        "CKANPACKAGER_CONFIG": str(tmp_path / "ckanpackager.yaml"),
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "CONTENT_LENGTH": str(len(body)),
    }
    command = [sys.executable, "-X", "importtime", ROOT.parent / "contrib/cgi/ckanpackager.cgi"]
    done = subprocess.run(command, env=environ, input=body, capture_output=True, check=True, cwd=ROOT.parent)
    assert done.stdout.startswith(b"Status: 200 "), done
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    if needless:
        assert loaded.isdisjoint({*needless, "inspect", "html"})  # typing_extensions would load inspect
    assert "msgspec" in loaded


QUIET = """
import sys, importlib
names = sys.argv[1:]
for name in ("requests", "sqlalchemy", "click", "yaml", "tabulate", "waitress", "orjson", "msgspec", "filelock",
             "isal.isal_zlib", "lxml.etree", "openpyxl", "celery", "logging.handlers", "smtplib", "http.server"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
done = []
def hook(event, args):
    written = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    elsewhere = event == "open" and str(args[0]).endswith((".yaml", ".json", ".xml"))
    if written and "__pycache__" not in str(args[0]) or elsewhere:
        done.append((event, str(args[0])))
    if event.split(".")[0] in ("socket", "subprocess", "signal", "sqlite3") or event in ("os.mkdir", "os.rename"):
        if "__pycache__" not in str(args):
            done.append((event, str(args)))
sys.addaudithook(hook)
for name in names:
    importlib.import_module(name)
print(done)
"""


def test_no_module_does_anything_when_it_is_imported() -> None:
    modules = [path.relative_to(ROOT.parent).with_suffix("") for path in ROOT.rglob("*.py") if path.stem != "__main__"]
    names = sorted(".".join(path.parts).removesuffix(".__init__") for path in modules)
    assert len(names) > 100
    done = subprocess.run([sys.executable, "-B", "-c", QUIET, *names], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_what_a_request_may_ask_for_loads_no_format() -> None:
    code = "import sys, ckanpackager.jobs.request\nprint([name for name in sys.modules if '.formats.' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['ckanpackager.formats.registry']\n", "")
