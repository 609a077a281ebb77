"""JSON values whose numbers keep their digits: 70.4300 stays 70.4300, which a float would make 70.43."""

from typing import Any

import msgspec


class Number:
    """A number with a fraction, in the digits that the server wrote."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def compact_json(value: Any) -> str:
    """A value as compact JSON; one of a type that JSON does not know as the number that its text is."""
    return _ENCODER.encode(value).decode()


def spaced_json(value: Any) -> str:
    """A value as JSON on one line, with a space after each comma and colon, as CKAN's clients write it."""
    return msgspec.json.format(_ENCODER.encode(value), indent=0).decode()


def from_json(text: str) -> Any:
    """The value that a JSON text stands for.  Raises ValueError if the text is not JSON."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error


def _digits(value: Any) -> msgspec.Raw:
    return msgspec.Raw(str(value).encode())


_ENCODER = msgspec.json.Encoder(enc_hook=_digits)
_DECODER = msgspec.json.Decoder(float_hook=Number)
