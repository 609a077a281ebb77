"""A plan: what goes where in an archive, in the form in which records are worked off by it."""

from msgspec import Struct


class Column(Struct, frozen=True):
    """A column of a file: a term and its URI."""

    name: str
    uri: str


class FieldCell(Struct, frozen=True):
    """A cell that is the value of one field, by the field's place in a record."""

    field: int


class JsonCell(Struct, frozen=True):
    """A cell that is a JSON object of the values of `fields`, under `keys`; nulls are left out."""

    fields: tuple[int, ...]
    keys: tuple[str, ...]


class NestedCell(Struct, frozen=True):
    """A cell that is the value of `key` in an object, between two texts.

    An object without it has the value of `other`, as it is, else the default; an explicit null stays empty.
    """

    key: str
    other: str
    default: str
    before: str = ""
    after: str = ""


class RecordSource(Struct, frozen=True):
    """Makes one row of each record: of `every` one, or of those that have a value for it.

    A column for which it has nothing is None.
    """

    cells: tuple[FieldCell | JsonCell | None, ...]
    every: bool


class NestedSource(Struct, frozen=True):
    """Makes one row of each object in a field."""

    field: int
    cells: tuple[NestedCell | None, ...]


class Table(Struct, frozen=True):
    """A file of the archive: its columns, behind the first, which holds the record's id; and what makes its rows."""

    name: str
    delimiter: str
    row_type: str
    id_name: str
    columns: tuple[Column, ...]
    sources: tuple[RecordSource | NestedSource, ...]


class Plan(Struct, frozen=True):
    """The files of an archive, and the place in a record of the field that is its id."""

    id: int
    core: Table
    extensions: tuple[Table, ...]
