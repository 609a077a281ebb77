"""JSON within cells: values as JSON text, and texts that are JSON; numbers keep their digits."""

import contextlib
import re
from json.encoder import encode_basestring
from typing import Any

import msgspec

_SCALAR = re.compile(r"[ \t\n\r]*(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)[ \t\n\r]*")
_MAY_BE_JSON = re.compile(r'[ \t\n\r]*["{\[]').match


class _Digits:
    """A number with a fraction, as it was written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def as_json(value: Any) -> str:
    """A value as compact JSON; one of a type that JSON does not know as the number that its text is."""
    return _ENCODER.encode(value).decode()


def embedded(value: Any) -> str:
    """A value as it stands within a JSON object: a text that is itself JSON is taken for what it says."""
    return _embedded_text(value) if isinstance(value, str) else as_json(value)


def parsed(text: str) -> Any:
    """What a text says as JSON.  Raises ValueError if it is none."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error


def _embedded_text(text: str) -> str:
    if _SCALAR.fullmatch(text):
        return text.strip()
    if _MAY_BE_JSON(text):
        with contextlib.suppress(ValueError):
            return as_json(parsed(text))
    return encode_basestring(text)


def _digits(value: Any) -> msgspec.Raw:
    return msgspec.Raw(str(value).encode())


_ENCODER = msgspec.json.Encoder(enc_hook=_digits)
_DECODER = msgspec.json.Decoder(float_hook=_Digits)
