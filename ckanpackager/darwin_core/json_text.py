"""JSON within cells: a text that is itself JSON is taken for the value that it stands for."""

import contextlib
import re
from json.encoder import encode_basestring
from typing import Any

from ckanpackager.formats.json_values import compact_json, from_json

_SCALAR = re.compile(r"[ \t\n\r]*(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)[ \t\n\r]*")
_MAY_BE_JSON = re.compile(r'[ \t\n\r]*["{\[]').match


def embedded(value: Any) -> str:
    """A value as it stands within a JSON object."""
    return _embedded_text(value) if isinstance(value, str) else compact_json(value)


def _embedded_text(text: str) -> str:
    if _SCALAR.fullmatch(text):
        return text.strip()
    if _MAY_BE_JSON(text):
        with contextlib.suppress(ValueError):
            return compact_json(from_json(text))
    return encode_basestring(text)
