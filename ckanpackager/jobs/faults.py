"""What is wrong with values, in the words of their authors rather than those of Python and msgspec.  Pure."""

import re
from collections.abc import Mapping
from typing import Any

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "a list",
}
_LIMITS = ((" of length >= 1", " that is not empty"), (">=", "of at least"), ("<=", "of at most"), ("> 0.0", "above 0"))
_KINDS = {"str": "text", "bool": "the truth value", "int": "the number", "float": "the number", "NoneType": "null"}
_KINDS |= {"list": "a list", "tuple": "a list", "dict": "an object", "date": "the date", "datetime": "the date"}
_SHOWN = 60  # characters of a value
_EXPECTED = re.compile(r"Expected (?P<wanted>`[^`]+`[^,]*?)(, got `?(?P<got>[^`]+?)`?)?")
_AT = re.compile(r" - at (`key` in )?`(?P<path>.*)`$")


def in_words(error: Exception, value: Any = None, name: str = "") -> str:
    """What a library or a check of ours says of a value, in plain words: where, what was expected, what there is.

    Args:
        error: Of msgspec, of reading UTF-8 or of nesting too deeply; the words of others are taken as they are.
        value: What it is about, which the words quote; without it they name its kind only.
        name: The value's name, before what the error says of the place within it.
    """
    place = _AT.search(str(error))
    path = place["path"].removeprefix("$") if place else ""
    words = _AT.sub("", str(error))
    if isinstance(error, UnicodeError):
        words = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "half of a character that cannot be stored"
    elif isinstance(error, RecursionError):
        words = "no valid JSON: nested too deeply"
    elif found := _EXPECTED.fullmatch(words):
        there, kind = _at(value, path), str(found["got"] or "")
        words = f"expected {expected(words, names={'null': ''})}"  # null counts as absent
        words += f", got {got(there, kind)}" if kind or there is not None else ""
    else:
        words = _others(words)
    known = f"{name}{path.partition('[...]')[0]}".removeprefix(".")  # msgspec does not name members of a mapping
    return f"{known}: {words}" if known else words


def expected(message: str, *, names: Mapping[str, str] = {}) -> str:
    """What msgspec's message expects, in plain words, with `names` for types instead of those of JSON."""
    known = {**_TYPES, **names}
    words = message.partition(", got")[0].removeprefix("Expected ")
    words = re.sub("`(.+?)`", lambda found: " or ".join(filter(None, map(known.get, found[1].split(" | ")))), words)
    for theirs, ours in _LIMITS:
        words = words.replace(theirs, ours)
    return re.sub(r"\.0\b", "", words)


def got(value: Any, kind: str = "") -> str:
    """A value in words: its kind, and what it is if that is short; `kind`, one of msgspec's, where it is not known."""
    if value is None and kind and kind != "null":
        return {**_TYPES, "int": "a number"}.get(kind, "something else")
    said = _KINDS.get(type(value).__name__, "something else")
    if isinstance(value, str):
        return f"{said} {quoted(value)}"
    return f"{said} {str(value).lower()}" if said.startswith("the ") else said


def quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}...")


def _others(words: str) -> str:
    if words == "Input data was truncated":
        return "no valid JSON: it ends too early"
    if found := re.fullmatch(r"JSON is malformed: (.+) \(byte (\d+)\)", words):
        problem = "names need double quotes" if "keys must be" in found[1] else found[1]
        return f"no valid JSON: {problem}, at byte {found[2]}"
    if found := re.fullmatch(r"Object missing required field `(.+)`", words):
        return f"{found[1]} is missing"
    if found := re.fullmatch(r"Object contains unknown field `(.+)`", words):
        return f"{found[1]} is not known"
    if found := re.fullmatch(r"Invalid (?:enum )?value (.+)", words):
        return f"{found[1]} is not known"
    return words.replace("`", "") if words.startswith("JSON") else words[:1].lower() + words[1:].replace("`", "")


def _at(value: Any, path: str) -> Any:
    """The value at a path of msgspec's, as in `fields[0]`; None if it cannot be said."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+|\*)\]", path):
        try:
            value = value[name] if name else value[int(index)]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value
