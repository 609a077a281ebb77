"""The values of Python expressions that a settings file may hold, found without running anything.  Pure.

A function of one argument becomes text with {} in place of the argument, where it does no more than put text around it.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

_LONGEST = 100_000  # characters of a text, items of a list
_ARGUMENT = " \0 "  # stands for a function's argument; a change to it shows
_PLAIN_FORMAT = re.compile(r"([^{}]|\{\{|\}\}|\{\w*\})*")
_PLAIN_PERCENT = re.compile(r"([^%]|%%|%[sd]|%\(\w+\)[sd])*")
_METHODS = ("strip", "lstrip", "rstrip", "join", "format")
_TYPES: dict[str, Callable[[Any], Any]] = {"str": str, "unicode": str, "int": int, "float": float, "list": list}
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
_UNARY: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}


class Unclear(Exception):
    """What an expression is worth cannot be told without running it; why, in words."""


def evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:  # noqa: PLR0911 - a case each
    """The value of an expression; tuples and sets are lists.  Raises Unclear."""
    match node:
        case ast.Constant(value=bytes() as value):
            return value.decode("utf-8", "replace")
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Name(id=name):
            return _known(name, names)
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return [evaluate(part, names) for part in parts]
        case ast.Dict(keys=keys, values=values):
            return _dictionary(keys, values, names)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _tried(_UNARY[type(op)], evaluate(operand, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _binary(op, evaluate(left, names), evaluate(right, names))
        case ast.BoolOp(op=op, values=values):
            return _chain(op, values, names)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return evaluate(body if evaluate(test, names) else orelse, names)
        case ast.JoinedStr(values=parts):
            return "".join(_piece(part, names) for part in parts)
        case ast.Lambda():
            return as_text(node, names)
        case ast.Call():
            return _call(node, names)
    raise Unclear(f"{ast.unparse(node)[:60]} is known only when Python runs it")


def as_text(function: ast.Lambda, names: Mapping[str, Any]) -> str:
    """A function that puts text around its one argument, as that text with {}.  Raises Unclear."""
    arguments = function.args.args
    words = f"the function {ast.unparse(function)[:60]} does more than put text around its value"
    if len(arguments) != 1 or len(function.args.posonlyargs + function.args.kwonlyargs):
        raise Unclear(words)
    try:
        text = evaluate(function.body, {**names, arguments[0].arg: _ARGUMENT})
    except Unclear:
        raise Unclear(words) from None
    if not isinstance(text, str) or text.count(_ARGUMENT) != 1 or text.count("\0") != 1 or "{" in text:
        raise Unclear(words)
    return text.replace(_ARGUMENT, "{}")


def _known(name: str, names: Mapping[str, Any]) -> Any:
    if name not in names:
        raise Unclear(f"{name} is set nowhere above")
    value = names[name]
    if isinstance(value, Unclear):
        raise value
    return as_text(value, {k: v for k, v in names.items() if k != name}) if isinstance(value, ast.Lambda) else value


def _dictionary(keys: list[ast.expr | None], values: list[ast.expr], names: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in zip(keys, values, strict=True):
        if key is None:  # **others
            found |= evaluate(value, names)
        elif isinstance(name := evaluate(key, names), str):
            found[name] = evaluate(value, names)
        else:
            raise Unclear(f"the key {name!r} is no text")
    return found


def _binary(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(op, ast.Pow | ast.LShift) and not (_small(left) and _small(right)):
        raise Unclear("the number is too large")
    if isinstance(op, ast.Mult):
        for one, many in ((left, right), (right, left)):
            if isinstance(one, str | list) and not (isinstance(many, int) and len(one) * many <= _LONGEST):
                raise Unclear("the text is too long")
    if isinstance(op, ast.Mod) and isinstance(left, str):
        if not _PLAIN_PERCENT.fullmatch(left):
            raise Unclear(f"the format {left[:60]!r} is not understood")
        right = tuple(right) if isinstance(right, list) else right
    return _tried(_OPERATORS[type(op)], left, right)


def _small(value: Any) -> bool:
    return isinstance(value, int) and abs(value) <= 1024


def _chain(op: ast.boolop, values: list[ast.expr], names: Mapping[str, Any]) -> Any:
    """`and` and `or`, which give the value that decides."""
    value: Any = None
    for part in values:
        value = evaluate(part, names)
        if bool(value) is isinstance(op, ast.Or):
            break
    return value


def _piece(part: ast.expr, names: Mapping[str, Any]) -> str:
    """A piece of an f-string."""
    if isinstance(part, ast.FormattedValue):
        if part.format_spec is not None or part.conversion not in (-1, ord("s")):
            raise Unclear(f"the format {ast.unparse(part)[:60]} is not understood")
        return str(evaluate(part.value, names))
    return str(evaluate(part, names))


def _call(node: ast.Call, names: Mapping[str, Any]) -> Any:
    called = ast.unparse(node.func)
    if called in ("os.environ.get", "environ.get", "os.getenv", "getenv"):
        raise Unclear(f"{ast.unparse(node)[:60]} comes from the environment")
    arguments = [evaluate(argument, names) for argument in node.args]
    keywords = {keyword.arg: evaluate(keyword.value, names) for keyword in node.keywords if keyword.arg}
    if called == "dict" and not arguments:
        return keywords
    if called in _TYPES and len(arguments) == 1 and not keywords:
        return _tried(_TYPES[called], arguments[0])
    if called in ("os.path.join", "path.join", "join") and arguments and not keywords:
        import posixpath

        return _tried(posixpath.join, *arguments)
    if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        text = evaluate(node.func.value, names)
        plain = isinstance(text, str) and (node.func.attr != "format" or _PLAIN_FORMAT.fullmatch(text))
        if plain:
            return _tried(getattr(text, node.func.attr), *arguments, **keywords)
    raise Unclear(f"{ast.unparse(node)[:60]} is known only when Python runs it")


def _tried(work: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    try:
        return work(*arguments, **keywords)
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise Unclear(f"Python says: {' '.join(str(error).split())[:100]}") from None
