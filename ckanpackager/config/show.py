"""The configuration as it takes effect, as YAML, without its secrets.  Pure."""

import re
from typing import Any

import msgspec
import yaml
from msgspec.structs import fields

from ckanpackager.config.settings import Settings, trait

HIDDEN = "(hidden)"
_PASSWORD = re.compile(r"(://[^/@:]*:)[^@]*(@)")


def effective(settings: Settings) -> str:
    """Every key with its value, section by section; of a URL only the password is hidden."""
    lines = []
    for section in fields(Settings):
        lines.append(f"# {(section.type.__doc__ or '').strip().splitlines()[0]}")
        for key in fields(section.type):
            value = msgspec.to_builtins(getattr(getattr(settings, section.name), key.name))
            if trait(key, "secret") and value is not None:
                value = _without_password(str(value))
            if key.name == "named_packages":
                value = {name: _without_key(package) for name, package in value.items()}
            lines.append(yaml.safe_dump({key.name: value}, sort_keys=False, allow_unicode=True, width=100).rstrip("\n"))
        lines.append("")
    return "\n".join(lines)


def _without_password(value: str) -> str:
    return _PASSWORD.sub(rf"\1{HIDDEN}\2", value) if "://" in value else HIDDEN


def _without_key(package: dict[str, Any]) -> dict[str, Any]:
    return {name: HIDDEN if name == "key" else value for name, value in package.items()}
