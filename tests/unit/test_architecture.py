"""Who may import whom, what may be heavy, and that the README names the commands that exist."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ckanpackager
from ckanpackager.cli.commands import COMMANDS, command
from ckanpackager.cli.main import cli

ROOT = Path(ckanpackager.__file__).parent
README = ROOT.parent / "README.md"
STDLIB = sys.stdlib_module_names

# Who may import whom, by folder, or by module where it stands beside the folders; a folder may import itself.  A folder
# or module that is not named here may import nothing of the package: it stands alone until this table names it.
PURE = {"errors", "jobs"}
MAY_IMPORT: dict[str, set[str]] = {
    "jobs": {"errors", "formats"},
    "durable_files": {"errors"},
    "names": set(),
    "config": PURE,
    "hosts": {"errors"},
    "logs": {"errors", "durable_files"},
    "http_client": {"errors", "hosts"},
    "spool": PURE | {"durable_files"},
    "status": PURE | {"metadata", "config", "spool", "archives"},
    "celery": PURE | {"config", "archives", "packagers", "http_client"},
    "statistics": {"errors", "config", "durable_files"},
    "ckan": {"errors", "http_client", "hosts", "formats"},
    "formats": {"errors"},
    "metadata": {"errors", "formats", "names"},
    "darwin_core": {"errors", "config", "formats", "names"},
    "archives": PURE | {"config", "formats", "durable_files"},
    "mail": PURE | {"metadata", "config", "durable_files", "status"},
    "packagers": PURE
    | {"config", "http_client", "hosts", "ckan", "formats", "metadata", "darwin_core", "archives", "names"},
    "receiver": PURE
    | {"formats", "config", "hosts", "spool", "status", "statistics", "archives", "logs", "maintenance", "monitoring"}
    | {"report"},
    "worker": PURE
    | {"config", "spool", "status", "statistics", "archives", "mail", "packagers", "http_client", "hosts", "celery"},
    "maintenance": PURE
    | {"durable_files", "archives", "celery", "ckan", "config", "darwin_core", "hosts", "http_client", "mail"}
    | {"spool", "statistics", "status"},
    "monitoring": PURE | {"archives", "config", "durable_files", "maintenance", "spool", "statistics", "status"},
    "report": {"errors", "config", "statistics", "status"},
    "demo": {"errors"},
    "cli": PURE
    | {
        "config",
        "formats",
        "spool",
        "status",
        "statistics",
        "archives",
        "worker",
        "receiver",
        "maintenance",
        "monitoring",
        "report",
        "demo",
        "logs",
        "hosts",
        "durable_files",
    },
    "__main__": {"cli"},
}
MAY_USE: dict[str, set[str]] = {
    "errors": set(),
    "jobs": {"msgspec", "idna"},
    "config": {"msgspec", "yaml"},
    "spool": {"msgspec", "filelock"},
    "darwin_core": {"msgspec", "names"},
    "metadata": {"msgspec", "names"},
    "monitoring": {"msgspec", "prometheus_client"},
    "receiver": {"msgspec", "waitress"},
}


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in sorted(ROOT.rglob("*.py"))
}


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


def modules_imported(module: str) -> set[str]:
    """The modules of the package that a module imports, by their names; those of a type checker count, too."""
    found = set()
    for node in _imports(ast.parse(MODULES[module].read_text()), at_import=True):
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names] + [str(node.module)]
        found |= {name.removeprefix("ckanpackager.") for name in names if name.startswith("ckanpackager.")}
    return found


def folder_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def ours(module: str) -> set[str]:
    """The folders of the package that a module imports, but for its own and the version."""
    known = {name[1:] for name in imports(module) if name.startswith(".")}
    return known - {folder_of(module), "__version__"}


def libraries(module: str, *, at_import: bool = False) -> set[str]:
    return {name for name in imports(module, at_import=at_import) if not name.startswith(".")} - STDLIB


def in_folder(*folders: str) -> list[str]:
    return [module for module in MODULES if folder_of(module) in folders]


def test_every_module_is_looked_at() -> None:
    assert {"", "jobs.job", "cli.jobs", "ckan.paging", "packagers.datastore"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_the_table_allows_its_folder(module: str) -> None:
    assert ours(module) <= MAY_IMPORT.get(folder_of(module), set())


@pytest.mark.parametrize("module", in_folder(*MAY_USE))
def test_a_module_uses_only_the_libraries_of_its_folder(module: str) -> None:
    assert libraries(module) <= MAY_USE[folder_of(module)]


def test_no_two_folders_import_each_other() -> None:
    order: list[str] = []

    def visit(folder: str, path: tuple[str, ...]) -> None:
        assert folder not in path, f"a circle: {' -> '.join((*path, folder))}"
        if folder not in order:
            for other in sorted(MAY_IMPORT.get(folder, ())):
                visit(other, (*path, folder))
            order.append(folder)

    for folder in MAY_IMPORT:
        visit(folder, ())


def test_no_two_modules_import_each_other() -> None:
    graph = {module: modules_imported(module) & set(MODULES) - {module} for module in MODULES}

    def visit(module: str, path: tuple[str, ...], done: set[str]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        if module not in done:
            for other in graph[module]:
                visit(other, (*path, module), done)
            done.add(module)

    done: set[str] = set()
    for module in MODULES:
        visit(module, (), done)


def test_beside_the_folders_stand_few_modules() -> None:
    beside = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "__main__"}
    assert len(beside) <= 8, beside


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_300_lines_but_the_settings(module: str) -> None:
    if module != "config.settings":
        assert len(MODULES[module].read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", in_folder("receiver", "spool", "jobs", "config", "status", "hosts"))
def test_what_a_cgi_process_imports_is_light(module: str) -> None:
    assert not libraries(module, at_import=True) - {"msgspec", "yaml", "filelock"}


@pytest.mark.parametrize("folder", ["config", "jobs", "receiver", "spool"])
def test_the_init_files_on_the_way_of_the_receiver_are_empty(folder: str) -> None:
    assert (ROOT / folder / "__init__.py").read_text() == ""


# The README


def commands_in(text: str) -> Iterator[list[str]]:
    """What the README writes in code after `ckanpackager`."""
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4}(.+)$|^\$ (.+)$", text, re.MULTILINE)
    for found in code:
        line = re.sub("^runuser .*? -- ", "", found if isinstance(found, str) else "".join(found))
        if re.match(r"(useradd|install|chown|adduser) ", line):
            continue  # the user or a directory of that name
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
        assert rest[0] in COMMANDS, words
        seen.add(rest[0])
        for word in rest[1:]:
            if re.match(r"--?[a-zA-Z]", word):
                assert word.split("=")[0].strip("[]") in options(command(rest[0])), words
    assert len(seen) > 5


@pytest.mark.skipif(not README.exists(), reason="not run from the repository")
def test_the_readme_names_every_command() -> None:
    named = {word for words in commands_in(README.read_text()) for word in words}
    missing = {name for name in COMMANDS if name not in named and f"`{name}`" not in README.read_text()}
    assert missing == set()
