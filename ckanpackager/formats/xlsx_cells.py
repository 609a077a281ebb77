"""Values as cells of a sheet: the XML of SpreadsheetML, with every value kept as the datastore has it.

The numbers are Excel's, from "Excel specifications and limits" on support.microsoft.com.  Cells are made column by
column, some rows at a time: most columns need one look to see that their values are plain, and then no function call
for each cell.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ckanpackager.formats import xlsx_parts as parts
from ckanpackager.formats.json_values import Number, spaced_json

CHARACTERS = 32_767  # of a cell, in UTF-16
DIGITS = 15  # of a number that Excel can show


class Plain(NamedTuple):
    """Cells that differ in their texts alone; an empty text is no cell.

    `begin` stands between a cell's address and its text, `end` between the text and the next cell.
    """

    begin: str
    texts: Sequence[str]
    end: str


class Column:
    """Makes the cells of one column; `letters` are its name in Excel, `type` is PostgreSQL's."""

    def __init__(self, letters: str, type: str) -> None:
        self.letters = letters
        self.plain = _plain_column(type)
        self.cut = 0  # cells that were cut, as they were too long
        self._cell = self._cell_of(type)

    def cells(self, numbers: Sequence[str], values: Sequence[Any]) -> list[str]:
        """The XML of cells that are not plain, for rows with these numbers; nothing where there is no value."""
        before, cell = f'<c r="{self.letters}', self._cell
        return [
            "" if value is None or value == "" else f'{before}{number}"{cell(value)}</c>'
            for number, value in zip(numbers, values, strict=True)
        ]

    def text(self, value: Any) -> str:
        """A cell of text, from behind its address to before its end tag."""
        if not isinstance(value, str):
            if value is True or value is False:
                return f' t="b"><v>{value:d}</v>'
            value = spaced_json(value) if isinstance(value, list | dict) else str(value)
        if len(value) > CHARACTERS // 2:
            value = self._cut_down(value)
        keep = ' xml:space="preserve"' if value != value.strip() else ""
        if _SPECIAL(value) or "_x" in value:  # two quick questions, since few texts need the slow answer
            value = _ESCAPED(_escape, value)
        return f' t="inlineStr"><is><t{keep}>{value}</t></is>'

    def _cell_of(self, type: str) -> Callable[[Any], str]:
        """What makes a value of a type a cell, from behind the address to before the end tag."""
        if type in _NUMERIC:
            return self._number
        if type in _FLOATING:
            return self._float
        if type in TEMPORAL:
            return self._moment
        return self._json if type in _JSON else self.text

    def _cut_down(self, text: str) -> str:
        units = text.encode("utf-16-le", "surrogatepass")
        if len(units) <= 2 * CHARACTERS:
            return text
        self.cut += 1
        return units[: 2 * CHARACTERS].decode("utf-16-le", "ignore")  # without the half of a character at the end

    def _json(self, value: Any) -> str:
        return self.text(value if isinstance(value, str) else spaced_json(value))

    def _number(self, value: Any) -> str:
        """Digits are worth more than arithmetic: a number that Excel would round stays text."""
        text = str(value)
        exact = (len(text) <= DIGITS and _DECIMAL(text)) or (_fits(text) and _digits(text) <= DIGITS)
        return f"><v>{text}</v>" if exact else self.text(value)

    def _float(self, value: Any) -> str:
        """A double has up to 17 digits; Excel shows 15, and keeps the double as it is."""
        text = str(value)
        return f"><v>{text}</v>" if _fits(text) else self.text(value)

    def _moment(self, value: Any) -> str:
        """A day and time as Excel counts them, and as text where it does not: before 1900-03-01, say."""
        text = str(value)
        try:
            moment = datetime.fromisoformat(text) if _MOMENT(text) else _NEVER
        except ValueError:  # the 31st of February
            moment = _NEVER
        days = (moment - _DAY_0) / _DAY
        if not _FIRST_DAY <= days < _DAY_10000:
            return self.text(text)
        style = parts.TIME_IN_MILLISECONDS if moment.microsecond else parts.TIME
        return f' s="{parts.DATE if len(text) == _DATE_ONLY else style}"><v>{days}</v>'


# Each of these looks at the values of a column at once; None if one of them may need more than a look.

_Values = Sequence[Any]
_MaybePlain = Plain | None


def _plain_column(type: str) -> Callable[[_Values], _MaybePlain]:
    if type in _NUMERIC or type in _FLOATING:
        pattern = _SHORT_DECIMALS if type in _NUMERIC else _DECIMALS
        return lambda values: _plain_numbers(values, pattern)
    if type in TEMPORAL:
        return _plain_moments
    return _plain_documents if type in _JSON else _plain_texts


def _plain_texts(values: _Values) -> _MaybePlain:
    kinds = set(map(type, values))
    if not kinds <= _TEXT_OR_NONE:
        return _plain_truths(values) if kinds <= _TRUTH_OR_NONE else None
    texts = list(values) if kinds == _TEXT else ["" if value is None else value for value in values]
    whole = "\n".join(texts)
    if len(whole) > CHARACTERS // 2 and max(map(len, texts)) > CHARACTERS // 2:
        return None
    if "_x" in whole or list(map(str.strip, texts)) != texts:
        return None
    if _SPECIAL(whole):
        whole = "\0".join(texts)
        if whole.count("\0") >= len(texts) or _CONTROL(whole):
            return None
        for char, reference in _REFERENCES.items():
            whole = whole.replace(char, reference)
        texts = whole.split("\0")
    return Plain('" t="inlineStr"><is><t>', texts, "</t></is></c>")


def _plain_documents(values: _Values) -> _MaybePlain:
    return _plain_texts([value if value is None or type(value) is str else spaced_json(value) for value in values])


def _plain_truths(values: _Values) -> _MaybePlain:
    return Plain('" t="b"><v>', ["" if value is None else "1" if value else "0" for value in values], "</v></c>")


def _plain_numbers(values: _Values, pattern: Callable[[str], object]) -> _MaybePlain:
    if not set(map(type, values)) <= _NUMBER_OR_NONE:
        return None
    texts = ["" if value is None else str(value) for value in values]
    return Plain('"><v>', texts, "</v></c>") if pattern("\n".join(texts)) else None


def _plain_moments(values: _Values) -> _MaybePlain:
    if not set(map(type, values)) <= _TEXT_OR_NONE or not _MOMENTS("\n".join(filter(None, values))):
        return None
    try:
        moments = [datetime.fromisoformat(value) if value else None for value in values]
    except ValueError:
        return None
    in_milliseconds = {moment.microsecond > 0 for moment in moments if moment}
    days = [(moment - _DAY_0) / _DAY if moment else None for moment in moments]
    if len(in_milliseconds) > 1 or not all(_FIRST_DAY <= day < _DAY_10000 for day in days if day is not None):
        return None
    style = parts.TIME_IN_MILLISECONDS if True in in_milliseconds else parts.TIME
    return Plain(f'" s="{style}"><v>', ["" if day is None else str(day) for day in days], "</v></c>")


_TEXT, _TEXT_OR_NONE, _TRUTH_OR_NONE = {str}, {str, type(None)}, {bool, type(None)}
_NUMBER_OR_NONE = {int, Number, type(None)}

_NUMERIC = frozenset(
    ["int", "int2", "int4", "int8", "smallint", "integer", "bigint", "serial", "bigserial", "numeric", "decimal"]
)
_FLOATING = frozenset(["float", "float4", "float8", "real", "double precision"])
TEMPORAL = frozenset(["date", "timestamp"])
_JSON = frozenset(["json", "jsonb"])

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?").fullmatch
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_LINES = r"(?:(?=[-.0-9]{0,%d}(?:\n|\Z))(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)?(?:\n|\Z))*"  # or empty
_SHORT_DECIMALS = re.compile(_LINES % DIGITS).fullmatch
_DECIMALS = re.compile(_LINES % 50).fullmatch  # none of these is too large or too small
_LARGEST, _SMALLEST = 9.99999999999999e307, 2.2251e-308


def _fits(text: str) -> bool:
    """Whether a text is a number that Excel's are large and small enough for."""
    if not _NUMBER(text):
        return False
    size = abs(float(text))
    return _SMALLEST <= size <= _LARGEST or not _digits(text)


def _digits(number: str) -> int:
    """How many digits tell a number from others; zeros at its ends do not."""
    mantissa = re.split("[eE]", number)[0]
    return len(mantissa.replace(".", "").strip("-0"))


_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}[0-9:.]*)?").fullmatch
_MOMENTS = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}[0-9:.]*(?:\n|\Z))*").fullmatch  # no days
_DAY_0, _DAY, _DATE_ONLY = datetime(1899, 12, 30), timedelta(days=1), len("2000-01-01")
_FIRST_DAY = 61  # 1900-03-01: Excel's 1900 has a 29th of February, so earlier days are off by one or missing
_DAY_10000 = 2_958_466  # the first of the year 10000, which the last microseconds of 9999 are rounded to
_NEVER = datetime.min


# XML 1.0 has no way to write most control characters; a spreadsheet's text has _x000B_ for them (ECMA-376 part 1,
# 22.9.2.19, ST_Xstring), and _x005F_ for an underscore that would begin such a form but does not.  An underscore before
# fewer digits than four means itself, yet not to LibreOffice.
_NO_XML = "\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff"
_SPECIAL = re.compile(f"[&<>{_NO_XML}]").search
_ESCAPED = re.compile(f"[&<>{_NO_XML}]|_(?=x[0-9A-Fa-f]+_)").sub
_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search
_REFERENCES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}  # a bare \r would be read as \n


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"  # half a character, which is no text
    return _REFERENCES.get(char) or f"_x{ord(char):04X}_"
