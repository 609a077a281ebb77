"""The house: who may know whom, what may be heavy, and that the README tells the truth."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ckanpackager
from ckanpackager.cli import cli

ROOT = Path(ckanpackager.__file__).parent
README = ROOT.parent / "README.md"
STDLIB = sys.stdlib_module_names

GROUND = {"errors", "settings", "request", "job", "templates"}
SETTINGS = {"config", "reading"}
SPOOL = {"spool", "claim", "job_files"}
FRONT = SPOOL | {"receiver", "answers", "serving", "job_page", "overview"}
WHOLE_HOUSE = {"process", "work", "clean", "checks", "cli", "__main__", "forward"}
DOORS = {"ckan": {"fetch"}, "workbook": {"tables"}, "archive": {"zip64"}}
PACKAGERS_KNOW = {"ckan", "fetch", "tables", "workbook", "archive", "darwin_core", "datapackage"}


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted(ROOT.rglob("*.py"))
}
NO_ROOMS = GROUND | SETTINGS | FRONT | WHOLE_HOUSE | {"packagers", "demo", ""}
ROOMS = {module.split(".", maxsplit=1)[0] for module in MODULES} - NO_ROOMS  # a new module is a room, and alone


def imports(module: str, *, at_import: bool = False) -> set[str]:
    """What a module imports: rooms of ours as `.room`, libraries by name; all of it, or what it does at its import."""
    tree = ast.parse(MODULES[module].read_text())
    found = set()
    for node in _imports(tree, at_import=at_import):
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = [f"{node.module}.{name}" if node.module == "ckanpackager" else str(node.module) for name in names]
        for name in names:
            library, _, rest = name.partition(".")
            found.add(f".{rest.split('.')[0]}" if library == "ckanpackager" else library)
    return found


def _imports(node: ast.AST, *, at_import: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            yield inner
        elif (at_import and isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)) or (
            at_import and isinstance(inner, ast.If) and ast.unparse(inner.test) == "TYPE_CHECKING"
        ):
            continue
        else:
            yield from _imports(inner, at_import=at_import)


def ours(module: str) -> set[str]:
    """The rooms that a module knows, by their names; not itself, and not the version."""
    known = {name[1:] for name in imports(module) if name.startswith(".")}
    return known - {module.split(".", maxsplit=1)[0], "__version__"}


def libraries(module: str, *, at_import: bool = False) -> set[str]:
    return {name for name in imports(module, at_import=at_import) if not name.startswith(".")} - STDLIB


def in_room(*rooms: str) -> list[str]:
    return [module for module in MODULES if module.split(".")[0] in rooms]


def test_every_module_is_looked_at() -> None:
    assert {"", "job", "cli.jobs", "ckan.paging", "packagers.datastore"} <= set(MODULES)


@pytest.mark.parametrize("module", in_room(*GROUND))
def test_the_ground_knows_the_standard_library_and_msgspec_and_itself(module: str) -> None:
    assert libraries(module) <= {"msgspec"}
    assert ours(module) <= GROUND


@pytest.mark.parametrize("module", in_room(*SETTINGS))
def test_the_configuration_knows_yaml_besides(module: str) -> None:
    assert libraries(module) <= {"msgspec", "yaml"}
    assert ours(module) <= GROUND | SETTINGS


@pytest.mark.parametrize("module", in_room(*SPOOL))
def test_the_spool_knows_jobs_and_nothing_else(module: str) -> None:
    assert ours(module) <= {"errors", "request", "job"} | SPOOL
    assert libraries(module) <= {"msgspec", "filelock"}
    assert libraries(module, at_import=True) <= {"msgspec"}


@pytest.mark.parametrize("module", in_room(*ROOMS))
def test_rooms_have_no_doors_to_each_other(module: str) -> None:
    doors = ours(module) - GROUND
    assert doors <= DOORS.get(module.split(".", maxsplit=1)[0], set())


@pytest.mark.parametrize("module", in_room("packagers"))
def test_packagers_know_what_they_need_to_fetch_and_to_write(module: str) -> None:
    assert ours(module) - GROUND <= PACKAGERS_KNOW


@pytest.mark.parametrize("module", [name for name in MODULES if name.split(".", maxsplit=1)[0] not in WHOLE_HOUSE])
def test_only_the_corridor_and_the_doors_see_the_whole_house(module: str) -> None:
    assert not ours(module) & WHOLE_HOUSE


@pytest.mark.parametrize("module", in_room(*FRONT))
def test_the_front_knows_nothing_of_how_a_job_is_done(module: str) -> None:
    assert not ours(module) & {"packagers", "ckan", "fetch", "tables", "archive", "mail", "darwin_core", "stopping"}
    assert not libraries(module, at_import=True) - {"msgspec", "yaml"}


def test_nobody_knows_the_demo_but_its_command() -> None:
    knowing = {module for module in MODULES if "demo" in ours(module)}
    assert knowing <= {"cli", "cli.demo"}


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("spool, config", ("requests", "sqlalchemy", "click", "filelock", "orjson", "urllib3")),
        ("cli.process", ("requests", "sqlalchemy")),
    ],
    ids=str,
)
def test_the_front_of_the_house_starts_fast(modules: str, heavy: tuple[str, ...]) -> None:
    names = ", ".join(f"ckanpackager.{name.strip()}" for name in modules.split(","))
    code = f"import sys, {names}\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


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
    names = [f"ckanpackager.{module}".rstrip(".") for module in MODULES if module != "__main__"]
    done = subprocess.run([sys.executable, "-B", "-c", QUIET, *names], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# The README


def commands_in(text: str) -> Iterator[list[str]]:
    """What the README writes in code after `ckanpackager`."""
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4}(.+)$|^\$ (.+)$", text, re.MULTILINE)
    for found in code:
        line = found if isinstance(found, str) else "".join(found)
        if match := re.search(r"(?:^|[\s/])ckanpackager((?: +[^\s|;&#]+)+)", line):
            yield match[1].replace("\\|", "|").split()


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts + parameter.secondary_opts} | {
        "--help",
        "-h",
    }


@pytest.mark.skipif(not README.exists(), reason="not run from the repository")
def test_the_commands_and_options_of_the_readme_exist() -> None:
    seen = set()
    for words in commands_in(README.read_text()):
        rest = list(words)
        while rest and rest[0].startswith("-"):
            assert rest[0].split("=")[0] in options(cli), words
            takes_value = rest[0] == "--config"
            rest = rest[1 + takes_value :]
        if not rest or not re.fullmatch(r"[a-z][a-z-]+", rest[0]):
            continue  # a package, a path, or COMMAND
        assert rest[0] in cli.commands, words
        seen.add(rest[0])
        for word in rest[1:]:
            if re.match(r"--?[a-zA-Z]", word):
                assert word.split("=")[0].strip("[]") in options(cli.commands[rest[0]]), words
    assert len(seen) > 5


@pytest.mark.skipif(not README.exists(), reason="not run from the repository")
def test_the_readme_names_every_command() -> None:
    named = {word for words in commands_in(README.read_text()) for word in words}
    missing = {name for name in cli.commands if name not in named and f"`{name}`" not in README.read_text()}
    assert missing == set()
