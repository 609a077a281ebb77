"""A plan: what goes where in an archive, in the form in which records are worked off by it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a file: a term and its URI."""

    name: str
    uri: str


@dataclass(frozen=True)
class FieldCell:
    """A cell that is the value of one field, by the field's place in a record."""

    field: int


@dataclass(frozen=True)
class JsonCell:
    """A cell that is a JSON object of the values of `fields`, under `keys`; nulls are left out."""

    fields: tuple[int, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class NestedCell:
    """A cell that is the value of `key` in an object, between two texts.

    An object without it has the value of `other`, as it is, else the default; an explicit null stays empty.
    """

    key: str
    other: str
    default: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class RecordSource:
    """Makes one row of each record: of `every` one, or of those that have a value for it.

    A column for which it has nothing is None.
    """

    cells: tuple[FieldCell | JsonCell | None, ...]
    every: bool


@dataclass(frozen=True)
class NestedSource:
    """Makes one row of each object in a field."""

    field: int
    cells: tuple[NestedCell | None, ...]


@dataclass(frozen=True)
class Table:
    """A file of the archive: its columns, behind the first, which holds the record's id; and what makes its rows."""

    name: str
    delimiter: str
    row_type: str
    id_name: str
    columns: tuple[Column, ...]
    sources: tuple[RecordSource | NestedSource, ...]


@dataclass(frozen=True)
class Plan:
    """The files of an archive, and the place in a record of the field that is its id."""

    id: int
    core: Table
    extensions: tuple[Table, ...]
