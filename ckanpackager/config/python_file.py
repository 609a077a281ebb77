"""The original's settings, a Python file: read by its syntax, never run.  Pure.

Only what a settings file needs is understood: literals, arithmetic, joined and formatted text, names set further up.
Everything else is told, with its line, and left to the administrator.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Any, NamedTuple

from ckanpackager.config.python_values import Unclear, evaluate
from ckanpackager.errors import ConfigError

_OPTION = re.compile(r"[A-Z][A-Z0-9_]*")


class Setting(NamedTuple):
    """An option that the file sets: its value, or in `unclear` why that cannot be told; the comments above it."""

    name: str
    value: Any
    line: int
    comments: tuple[str, ...] = ()
    unclear: str | None = None


class Skipped(NamedTuple):
    """A statement that was not understood, in words, and its line."""

    words: str
    line: int


class PythonFile(NamedTuple):
    """What a file sets, in its order, each option once; what was skipped; the comments behind the last option."""

    settings: list[Setting]
    skipped: list[Skipped]
    last_comments: tuple[str, ...]


def read(source: bytes, name: str) -> PythonFile:
    """Read the settings in a Python file.  Raises ConfigError if it has no syntax of Python 3."""
    try:
        tree = ast.parse(source)
        comments = _comments(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        line = getattr(error, "lineno", None)
        place = f"{name}:{line}" if line else name
        words = "Python 3 cannot read this; rewrite the line (in Python 3, print needs brackets, and 60L is 60)"
        raise ConfigError(f"{place}: {words}") from None
    reader = _Reader(comments)
    reader.statements(tree.body)
    return PythonFile(list(reader.settings.values()), reader.skipped, tuple(reader.comments_up_to(None)))


def _comments(source: bytes) -> list[tuple[int, str]]:
    tokens = tokenize.tokenize(io.BytesIO(source).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


class _Reader:
    """Walks over the statements: `settings` by name, `skipped`, and the values of all names so far."""

    def __init__(self, comments: list[tuple[int, str]]) -> None:
        self.settings: dict[str, Setting] = {}
        self.skipped: list[Skipped] = []
        self._names: dict[str, Any] = {}
        self._comments = comments

    def comments_up_to(self, line: int | None) -> list[str]:
        """The comments that no setting has yet, up to a line; where others stand between two of them, a blank."""
        taken = [comment for comment in self._comments if line is None or comment[0] <= line]
        self._comments = self._comments[len(taken) :]
        texts: list[str] = []
        for (number, text), (before, _) in zip(taken, [(0, ""), *taken], strict=False):
            if not re.match(r"#!|#.*coding[:=]", text):
                texts += ["", text] if texts and number > before + 1 else [text]
        return texts

    def statements(self, body: list[ast.stmt]) -> None:
        for node in body:
            self._statement(node)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value, node)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, value, node)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self._assign(node.target, ast.BinOp(left=ast.Name(id=name), op=op, right=value), node)
            case ast.FunctionDef(name=name, args=args, body=[ast.Return(value=ast.expr() as value)]):
                self._names[name] = ast.Lambda(args=args, body=value)
            case ast.If(test=test, body=body, orelse=orelse):
                self._condition(node, test, body, orelse)
            case ast.Expr(value=ast.Constant()) | ast.Import() | ast.Pass():
                pass  # a text that documents, or a module whose names stand in what uses them
            case ast.ImportFrom(module=module) if all(alias.name != "*" for alias in node.names):
                del module
            case _:
                self._skip(node, "this statement is not understood")

    def _assign(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> None:
        line, comments = node.lineno, tuple(self.comments_up_to(node.end_lineno))
        match target:
            case ast.Name(id=name):
                self._set(name, self._value(value), line, comments)
            case ast.Tuple(elts=[*parts]) | ast.List(elts=[*parts]) if all(isinstance(p, ast.Name) for p in parts):
                values = self._value(value)
                fits = isinstance(values, list) and len(values) == len(parts)
                for number, part in enumerate(parts):
                    one = values[number] if fits else Unclear("its value is not understood")
                    self._set(ast.unparse(part), one, line, comments if number == 0 else ())
            case ast.Subscript():
                self._set_item(target, value, node)
            case _:
                self._skip(node, "this assignment is not understood")

    def _value(self, node: ast.expr) -> Any:
        """Its value, or Unclear."""
        try:
            return evaluate(node, self._names)
        except Unclear as unclear:
            return unclear
        except RecursionError:
            return Unclear("it is nested too deep")

    def _set(self, name: str, value: Any, line: int, comments: tuple[str, ...]) -> None:
        self._names[name] = value
        if _OPTION.fullmatch(name):
            earlier = self.settings.pop(name, None)
            comments = (earlier.comments if earlier else ()) + comments
            unclear = str(value) if isinstance(value, Unclear) else None
            self.settings[name] = Setting(name, None if unclear else value, line, comments, unclear)

    def _set_item(self, target: ast.Subscript, value: ast.expr, node: ast.stmt) -> None:
        """`OPTION["key"] = value`."""
        container, key, one = self._value(target.value), self._value(target.slice), self._value(value)
        if isinstance(container, dict) and isinstance(key, str) and not isinstance(one, Unclear):
            container[key] = one
        else:
            self._skip(node, "this assignment is not understood")

    def _condition(self, node: ast.stmt, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt]) -> None:
        holds = self._value(test)
        if isinstance(holds, Unclear):
            self._skip(node, "whether this condition holds is known only when Python runs it")
        else:
            self.statements(body if holds else orelse)

    def _skip(self, node: ast.stmt, words: str) -> None:
        self.comments_up_to(node.end_lineno)
        names = sorted({name for name in _names_set(node) if _OPTION.fullmatch(name)})
        told = f"; it sets {', '.join(names)}" if names else ""
        self.skipped.append(Skipped(f"{ast.unparse(node).splitlines()[0][:60]}: {words}{told}", node.lineno))


def _names_set(node: ast.stmt) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
        elif isinstance(inner, ast.Subscript) and isinstance(inner.value, ast.Name):
            yield inner.value.id
