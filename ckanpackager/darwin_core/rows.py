"""Records as lines of the archive's files.

Records come and lines go row by row, but all in between is done column by column: what a column holds is found out
once for some thousand cells, and most need nothing done to them.  The lines are CSV or TSV: double quotes where they
are needed, \\n; null is nothing, truth is true or false, lists and objects are JSON; UTF-8.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ckanpackager.darwin_core.json_text import embedded
from ckanpackager.darwin_core.plan import FieldCell, JsonCell, NestedCell, NestedSource, Plan, RecordSource, Table
from ckanpackager.formats.json_values import compact_json, from_json

_AT_ONCE = 1000  # records: few enough for the processor's cache
_NEEDS_QUOTES = {delimiter: re.compile(f'[{delimiter}"\n\r]').search for delimiter in (",", "\t")}

_Columns = Sequence[Sequence[Any]]  # the values of each field
_Cells = Sequence[str]
_Objects = Mapping[int, Sequence[Sequence[Mapping[str, Any]]]]  # by field, the objects of each record
_Made = tuple[Sequence[int], Sequence[_Cells]]  # of each row the record, by its number; and the columns of cells


def header(table: Table) -> bytes:
    """The first line of a file: the name of the id field and those of the terms."""
    return _lines([[table.id_name], *([column.name] for column in table.columns)], table.delimiter)


def encode_records(plan: Plan, records: Sequence[Sequence[Any]]) -> Iterator[tuple[str, bytes]]:
    """The lines that the records make: again and again the name of a file and some lines for it, the core's first.

    A record is its values in the order of the plan's names: None, str, int, bool, list, dict, or what is written as
    its `str` says.  Raises ValueError if records differ in length.
    """
    for start in range(0, len(records), _AT_ONCE):
        columns: list[Sequence[Any]] = list(zip(*records[start : start + _AT_ONCE], strict=True))
        ids = _texts(columns[plan.id])
        objects = {}
        for source in chain.from_iterable(table.sources for table in plan.extensions):
            if isinstance(source, NestedSource):
                objects[source.field], columns[source.field] = _taken_apart(columns[source.field])
        for table in (plan.core, *plan.extensions):
            places, cells = _in_order([_made(source, columns, objects) for source in table.sources])
            if places:
                yield table.name, _lines([[ids[place] for place in places], *cells], table.delimiter)


def _taken_apart(values: Sequence[Any]) -> tuple[list[Sequence[Mapping[str, Any]]], list[Any]]:
    """The objects in each value of a field that lists them, and whatever else it holds, None if nothing."""
    pairs = [_NOTHING if value is None else _objects_in(value) for value in values]
    return [objects for objects, _ in pairs], [rest for _, rest in pairs]


_NOTHING: tuple[Sequence[Mapping[str, Any]], Any] = ((), None)


def _objects_in(value: Any) -> tuple[Sequence[Mapping[str, Any]], Any]:
    said = value
    if isinstance(value, str):  # JSON in a column of texts
        try:
            said = from_json(value)
        except ValueError:
            return (), value if value.strip() else None
    if isinstance(said, dict):
        return [said], None
    if not isinstance(said, list):
        return (), None if said is None else value
    others = [item for item in said if not isinstance(item, dict) and item is not None]
    return [item for item in said if isinstance(item, dict)], others or None


def _made(source: RecordSource | NestedSource, columns: _Columns, objects: _Objects) -> _Made:
    if isinstance(source, RecordSource):
        cells = [_cells(cell, columns) for cell in source.cells]
        if source.every:
            return range(len(columns[0])), cells
        places = [place for place, row in enumerate(zip(*cells, strict=True)) if any(row)]
        return places, [[column[place] for place in places] for column in cells]
    groups = objects[source.field]
    places = [place for place, group in enumerate(groups) for _ in group]
    every = list(chain.from_iterable(groups))
    return places, [_item_cells(cell, every) for cell in source.cells]


def _in_order(made: Sequence[_Made]) -> _Made:
    """The rows of several sources as those of one, by record."""
    if len(made) == 1:
        return made[0]
    places = list(chain.from_iterable(places for places, _ in made))
    order = sorted(range(len(places)), key=places.__getitem__)
    columns = [list(chain(*parts)) for parts in zip(*(cells for _, cells in made), strict=True)]
    return [places[at] for at in order], [[column[at] for at in order] for column in columns]


def _item_cells(cell: NestedCell | None, objects: Sequence[Mapping[str, Any]]) -> _Cells:
    if cell is None:
        return [""] * len(objects)
    texts = _texts([object.get(cell.key) for object in objects])
    if cell.before or cell.after:
        texts = [f"{cell.before}{text}{cell.after}" if text else "" for text in texts]
    if cell.default or cell.other != cell.key:
        texts = [
            text if cell.key in object else _texts([object[cell.other]])[0] if cell.other in object else cell.default
            for text, object in zip(texts, objects, strict=True)
        ]
    return texts


def _cells(cell: FieldCell | JsonCell | None, columns: _Columns) -> _Cells:
    if isinstance(cell, FieldCell):
        return _texts(columns[cell.field])
    if cell is None or not cell.fields:
        return [""] * len(columns[0])
    members = [_members(key, columns[field]) for key, field in zip(cell.keys, cell.fields, strict=True)]
    return [f"{{{inside}}}" if inside else "" for inside in map(_joined, zip(*members, strict=True))]


def _members(key: str, values: Sequence[Any]) -> _Cells:
    """The members of JSON objects under one key; nothing where the value is null."""
    begin = compact_json(key) + ":"
    return ["" if value is None else begin + embedded(value) for value in values]


def _joined(members: _Cells) -> str:
    return ",".join(filter(None, members))


def _texts(values: Sequence[Any]) -> _Cells:
    """Values as the texts of cells."""
    kinds = set(map(type, values))
    if kinds <= {str}:
        return values
    if kinds <= {str, type(None)}:
        return ["" if value is None else value for value in values]
    return [_WRITTEN.get(type(value), str)(value) for value in values]


_WRITTEN: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "",
    bool: lambda value: "true" if value else "false",
    list: compact_json,
    dict: compact_json,
}


def _lines(columns: Sequence[_Cells], delimiter: str) -> bytes:
    """Columns of cells as lines."""
    rows = zip(*(_quoted(cells, delimiter) for cells in columns), strict=True)
    return ("\n".join(map(delimiter.join, rows)) + "\n").encode()


def _quoted(cells: _Cells, delimiter: str) -> _Cells:
    """The cells, in quotes where they need them; most columns have no such cell, which is quickly seen."""
    whole = "".join(cells)
    if delimiter in whole or '"' in whole or "\n" in whole or "\r" in whole:
        needs_quotes = _NEEDS_QUOTES[delimiter]
        return ['"' + cell.replace('"', '""') + '"' if needs_quotes(cell) else cell for cell in cells]
    return cells
