"""A YAML file as typed values, and everything that is wrong with it, line by line, in plain words."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
import yaml
from msgspec.structs import fields

from ckanpackager.config.settings import Text, keys, trait
from ckanpackager.errors import ConfigError, did_you_mean
from ckanpackager.jobs.faults import expected, quoted

_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9_]*)?(\.[0-9]*)?")
_PYTHON = re.compile(r"^(\w+ *=|import |from \S+ import )", re.MULTILINE)

_SYNTAX = (
    ("mapping values are not allowed", "text with a colon needs quotes, or the line above lacks its colon"),
    ("could not find expected ':'", "expected `key: value`"),
    ("unexpected end of stream", "a quote is opened here and not closed"),
    ("expected ',' or", "a bracket or brace is opened here and not closed; put text that starts with one in quotes"),
    ("'\\t'", "a tab; indent with spaces"),
    ("cannot start any token", "put text that starts with this character in quotes"),
    ("undefined alias", "put text that starts with * in quotes"),
    ("escape", "a backslash that has no meaning in double quotes; use single quotes"),
    ("another document", "a second document starts here; there can be only one"),
    ("'<document start>'", "indented less than the first line"),
    ("expected <block end>", "indentation like no line above, or more after the end of a value; put text in quotes"),
)
"""What PyYAML says, and what we say instead: its words may quote the file, and so a secret."""

_TYPES = {"object": "a mapping"}  # in the words of YAML
_VALUES = {"str": "text", "bool": "the truth value", "int": "the number", "float": "the number"}
_VALUES |= {"date": "the date", "datetime": "the date"}


class Fault(NamedTuple):
    """One thing wrong: its line (0 if it stands in none), its key (or ""), and words."""

    line: int
    key: str
    words: str


class _ExtensionField(msgspec.Struct):
    """The shape of an entry of dwc_extension_fields."""

    extension: Text
    fields: dict[str, str | None]
    mappings: dict[str, str] = {}
    formatters: dict[str, Any] = {}


class Reading:
    """What a file says: the `values` by key, the `lines` of the keys, and the `faults`."""

    def __init__(self, loader: yaml.SafeLoader, root: yaml.MappingNode | None) -> None:
        self.loader = loader
        self.lines: dict[str, int] = {}
        self.faults: list[Fault] = []
        types = {name: key.type for name, key in keys().items()}
        self.secret = {name for name, key in keys().items() if trait(key, "secret")}
        types["dwc_extension_fields"] = dict[str, _ExtensionField]
        self.values = self.struct(root, types) if root else {}

    def struct(self, node: yaml.MappingNode, types: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        """The values of a mapping whose keys are known; what is wrong is left out."""
        values = {}
        for name, key, child in self.entries(node, prefix):
            if name not in types:
                self.fault(key, _unknown(name, types))
            elif (value := self.value(child, types[name], key)) is not msgspec.UNSET:
                values[name] = value
        return values

    def entries(self, node: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, str, yaml.Node]]:
        """The names in a mapping, their full keys, and their nodes; each once."""
        for name_node, child in node.value:
            line = name_node.start_mark.line + 1
            name = name_node.value if isinstance(name_node, yaml.ScalarNode) else "?"
            key = prefix + (name if name.isidentifier() else quoted(name))
            if key in self.lines:
                self.faults.append(Fault(line, key, f"set twice, the first time in line {self.lines[key]}"))
            else:
                self.lines[key] = line
                yield name, key, child

    def value(self, node: yaml.Node, wanted: Any, key: str) -> Any:
        """The value of a node as the type `wanted`, or UNSET."""
        shape = _bare(wanted)
        if isinstance(node, yaml.MappingNode) and hasattr(shape, "__struct_fields__"):
            values = self.struct(node, {f.name: f.type for f in fields(shape)}, f"{key}.")
            for missing in (f.name for f in fields(shape) if f.required and f"{key}.{f.name}" not in self.lines):
                self.fault(key, f"{missing} is missing")
            return values
        if isinstance(node, yaml.MappingNode) and get_origin(shape) is dict:
            item = get_args(shape)[1]
            return {name: self.value(child, item, path) for name, path, child in self.entries(node, f"{key}.")}
        if isinstance(node, yaml.SequenceNode) and get_origin(shape) is list:
            children = {f"{key}[{number}]": child for number, child in enumerate(node.value, 1)}
            self.lines |= {path: child.start_mark.line + 1 for path, child in children.items()}
            return [self.value(child, get_args(shape)[0], path) for path, child in children.items()]
        return self.leaf(node, wanted, key)

    def leaf(self, node: yaml.Node, wanted: Any, key: str) -> Any:
        try:
            value = self.loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError):
            return self.fault(key, "YAML cannot make a value of this; put text in quotes")
        got = _got(value, node, secret=key in self.secret)
        number = isinstance(value, (int, float)) and type(value) is not bool
        if number and not _PLAIN_NUMBER.fullmatch(node.value) and _bare(wanted) in (int, float):
            # YAML reads 0700 as 448 and 1:30 as 90.
            return self.fault(key, f"expected a number in plain decimal digits, got {got}")
        try:
            good = msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            words = _expected(str(error), wanted)
            quote = "; put it in quotes" if "text" in words and value is not None and type(value) is not str else ""
            return self.fault(key, f"expected {words}, got {got}{quote}")
        return good

    def fault(self, key: str, words: str) -> Any:
        self.faults.append(Fault(self.lines[key], key, words))
        return msgspec.UNSET


def read(path: Path) -> Reading:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise errors_in(path, [Fault(line, "", "not UTF-8; save the file in that encoding")]) from None
    if python := _PYTHON.search(text):
        words = "this is Python, as the original's configuration was; write YAML: `port: 8765`, not `PORT = 8765`"
        raise errors_in(path, [Fault(text.count("\n", 0, python.start()) + 1, "", words)])
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise errors_in(path, [Fault(line, "", "a control character; remove it")]) from None
    except yaml.MarkedYAMLError as error:
        raise errors_in(path, [_syntax(error)]) from None
    except RecursionError:
        raise _too_deep(path) from None
    if not (root is None or isinstance(root, yaml.MappingNode)):
        raise errors_in(path, [Fault(root.start_mark.line + 1, "", "expected `key: value` in each line")])
    try:
        return Reading(loader, root)
    except RecursionError:
        raise _too_deep(path) from None


def _too_deep(path: Path) -> ConfigError:
    return errors_in(path, [Fault(0, "", "nested too deeply, or an alias within its own anchor")])


def _syntax(error: yaml.MarkedYAMLError) -> Fault:
    opened = (error.context or "").startswith(("while scanning", "while parsing a flow"))
    mark = error.context_mark if opened and error.context_mark else error.problem_mark
    words = next((ours for theirs, ours in _SYNTAX if theirs in (error.problem or "")), "not YAML; put text in quotes")
    return Fault(mark.line + 1 if mark else 0, "", words)


def _unknown(name: str, known: Collection[str]) -> str:
    if name != name.lower() and name.lower() in known:
        return f"unknown key; write it in lower case: {name.lower()}"
    near = did_you_mean(name, known)
    return "unknown key" + (f"; did you mean {near}?" if near else "")


def _bare(wanted: Any) -> Any:
    """A type without its constraints, and without None."""
    if get_origin(wanted) is Annotated:
        return _bare(get_args(wanted)[0])
    if get_origin(wanted) in (Union, UnionType):
        return _bare(next(part for part in get_args(wanted) if part is not NoneType))
    return wanted


def _expected(error: str, wanted: Any) -> str:
    """What msgspec expected, in plain words."""
    if get_origin(_bare(wanted)) is Literal:
        return "one of " + ", ".join(get_args(_bare(wanted)))
    return expected(error, names=_TYPES)


def _got(value: Any, node: yaml.Node, *, secret: bool) -> str:
    """A value in words; of a secret value only its kind."""
    if not isinstance(node, yaml.ScalarNode):
        return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
    if value is None:
        return "nothing"
    kind = _VALUES.get(type(value).__name__, "the data")
    if secret:
        return kind.replace("the ", "a ")
    return f"{kind} {quoted(node.value) if kind == 'text' else node.value}"


def errors_in(path: Path, faults: Collection[Fault]) -> ConfigError:
    lines = []
    for line, key, words in sorted(set(faults), key=lambda fault: (fault.line == 0, fault)):
        place = f"{path}:{line}" if line else str(path)
        lines.append(": ".join(part for part in (place, key, words) if part))
    return ConfigError("\n".join(lines))
