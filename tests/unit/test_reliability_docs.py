"""docs/reliability.md: every row of its catalogue names tests, and there are such."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
WORDS = (TESTS.parent / "docs" / "reliability.md").read_text()
ROWS = [line for line in WORDS.splitlines() if line.startswith("|") and not line.startswith(("| fault ", "| --- "))]


def every_test() -> set[str]:
    trees = [ast.parse(path.read_text()) for path in TESTS.rglob("test_*.py")]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_row_of_the_catalogue_is_complete_and_ends_with_its_tests() -> None:
    assert len(ROWS) > 40
    for row in ROWS:
        *cells, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert len(cells) == 5, row
        assert all(cells), row
        assert re.fullmatch(r"`test_\w+`(, `test_\w+`)*", tests), row


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", WORDS))
    assert named - every_test() == set()


def test_every_fault_that_is_tested_has_a_row() -> None:
    tested = set(re.findall(r"^def (test_\w+)", (TESTS / "system" / "test_faults.py").read_text(), re.MULTILINE))
    assert tested - set(re.findall(r"`(test_\w+)`", "\n".join(ROWS))) == set()
