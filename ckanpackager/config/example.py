"""The documented example of the configuration, written from the settings."""

from inspect import cleandoc
from textwrap import wrap
from typing import Any

import msgspec
import yaml
from msgspec.structs import FieldInfo, fields

from ckanpackager.config.settings import Settings, trait


def documented_example(**values: str) -> str:
    """The documented example: every key with its meaning and its default, commented out save those to be set.

    These have an example of a value, or the one of `values`.
    """
    lines = comment(
        "The configuration of ckanpackager, with every key, its meaning and its default. Remove the # of a key to "
        "change it, and of each line of its value. Relative paths are relative to the directory of this file."
    )
    for section in fields(Settings):
        title, *text = cleandoc(section.type.__doc__).split("\n\n")
        lines += ["", "", f"# {title}", f"# {'-' * len(title)}"]
        for paragraph in text:
            lines += comment(paragraph)
        for key in fields(section.type):
            meaning = next(meta.description for meta in reversed(key.type.__metadata__) if meta.description)
            lines += ["", *comment(meaning)]
            if (shown := trait(key, "example")) is not None:
                lines += _entry(key.name, values.get(key.name, shown))
            else:
                lines += [f"#{line}" for line in _entry(key.name, _default(key))]
    return "\n".join(lines) + "\n"


def comment(text: str) -> list[str]:
    return wrap(text, 100, initial_indent="# ", subsequent_indent="# ", break_long_words=False, break_on_hyphens=False)


def _entry(key: str, value: Any) -> list[str]:
    if isinstance(value, str) and "\n" in value:
        return [f"{key}: |", *(f"  {line}" if line else "" for line in value.splitlines())]
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000)
    return [f"{key}: " + text.removesuffix("...\n").rstrip()]


def _default(key: FieldInfo) -> Any:
    return msgspec.to_builtins(key.default_factory() if key.default is msgspec.NODEFAULT else key.default)
