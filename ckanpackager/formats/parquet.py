"""Tables as Parquet (https://parquet.apache.org/docs/file-format/), typed from the datastore's field types.

NULL and an empty text are kept apart.  A type is only used where it loses nothing: a column with a value that does not
fit (`infinity` among timestamps, a `numeric` of more than 38 digits) is text as a whole.  The types stand before the
rows, and only the last row tells them, so the rows are texts in a temporary file until then.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from ckanpackager.errors import PermanentFailure
from ckanpackager.formats.json_values import spaced_json
from ckanpackager.formats.registry import Entry, Field, Format, Table

ROWS_PER_GROUP = 50_000
BYTES_PER_GROUP = 32_000_000  # of texts, so that long cells do not fill the memory
_DIGITS = 38  # of Parquet's decimals as programs read them: 128 bits


def write(format: Format, entry: Entry, table: Table) -> list[str]:
    """Write the rows as texts to a temporary file, then typed to the entry."""
    try:
        import pyarrow as pa
    except ImportError:
        raise PermanentFailure("this service cannot write Parquet (pyarrow is not installed); ask for csv") from None
    columns = [Column(pa, field) for field in table.fields]
    texts = pa.schema([pa.field(column.name, pa.string()) for column in columns])
    with tempfile.TemporaryFile(prefix="ckanpackager-", dir=table.temp_directory) as file:
        with pa.ipc.new_stream(file, texts, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
            for page in table.pages:
                if page.records:
                    stream.write(_batch(pa, columns, page.records, texts))
        file.seek(0)
        _write_typed(pa, columns, file, entry)
    return [note for column in columns if (note := column.note())]


class Column:
    """One column, and what its values allow as its type."""

    def __init__(self, pa: Any, field: Field) -> None:
        self.name = field.id
        self.wanted = field.type
        self.type = _type(pa, field.type)
        self._pa = pa
        self._text = spaced_json if field.type in ("json", "jsonb") else _text
        self._whole = self._fraction = 1  # digits of decimals
        self._fits = True

    def texts(self, values: Sequence[Any]) -> Any:
        """The values as an array of texts; the type is given up if one of them does not fit."""
        text = self._text
        array = self._pa.array([None if value is None else text(value) for value in values], self._pa.string())
        if self._fits and self.type != self._pa.string():
            self._fits = self._measure(array) if self.type == "decimal" else self._can_be_cast(array)
        return array

    def final_type(self) -> Any:
        """The type for all values."""
        if not self._fits:
            return self._pa.string()
        return (
            self._pa.decimal128(self._whole + self._fraction, self._fraction) if self.type == "decimal" else self.type
        )

    def note(self) -> str:
        return "" if self._fits else f"{self.name} is text, since not all values fit its type ({self.wanted})"

    def _can_be_cast(self, array: Any) -> bool:
        try:
            array.cast(self.type)
        except self._pa.ArrowInvalid:
            return False
        return True

    def _measure(self, array: Any) -> bool:
        """Count the digits before and after the point; whether all are decimals of not too many digits."""
        import pyarrow.compute as pc

        if not pc.all(pc.match_substring_regex(array, r"^-?[0-9]+(\.[0-9]+)?$"), min_count=0).as_py():
            return False
        digits = pc.replace_substring(array, "-", "")
        point, length = pc.find_substring(digits, "."), pc.utf8_length(digits)
        whole = pc.max(pc.if_else(pc.less(point, 0), length, point)).as_py() or 0
        fraction = pc.max(pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(length, point), 1))).as_py() or 0
        self._whole, self._fraction = max(self._whole, whole), max(self._fraction, fraction)
        return self._whole + self._fraction <= _DIGITS


def _type(pa: Any, type: str) -> Any:
    """The Parquet type of a PostgreSQL type; a decimal's digits are counted later."""
    types: dict[str, Callable[[], Any] | str] = {
        **dict.fromkeys(("int2", "smallint"), pa.int16),
        **dict.fromkeys(("int", "int4", "integer", "serial"), pa.int32),
        **dict.fromkeys(("int8", "bigint", "bigserial"), pa.int64),
        **dict.fromkeys(("float4", "real"), pa.float32),
        **dict.fromkeys(("float", "float8", "double precision"), pa.float64),
        **dict.fromkeys(("numeric", "decimal"), "decimal"),
        **dict.fromkeys(("bool", "boolean"), pa.bool_),
        "date": pa.date32,
        **dict.fromkeys(("timestamp", "timestamp without time zone"), lambda: pa.timestamp("us")),
    }
    made = types.get(type, pa.string)
    return made if isinstance(made, str) else made()


def _text(value: Any) -> str:
    """A value as text, as Arrow reads it again."""
    if value is True or value is False:
        return "true" if value else "false"
    return value if isinstance(value, str) else spaced_json(value) if isinstance(value, list | dict) else str(value)


def _batch(pa: Any, columns: Sequence[Column], rows: Sequence[Sequence[Any]], schema: Any) -> Any:
    values = zip(*rows, strict=True)
    arrays = [column.texts(each) for column, each in zip(columns, values, strict=True)]
    return pa.record_batch(arrays, schema=schema)


def _write_typed(pa: Any, columns: Sequence[Column], file: IO[bytes], entry: Entry) -> None:
    import pyarrow.parquet as pq

    schema = pa.schema([pa.field(column.name, column.final_type()) for column in columns])
    sink = pa.PythonFile(_Sink(entry), mode="w")
    with pa.ipc.open_stream(file) as stream, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in _groups(stream):
            writer.write_table(pa.Table.from_batches(group).cast(schema), row_group_size=ROWS_PER_GROUP)


def _groups(stream: Any) -> Iterator[list[Any]]:
    """Batches for a row group each."""
    group: list[Any] = []
    rows = size = 0
    for batch in stream:
        if group and (rows + batch.num_rows > ROWS_PER_GROUP or size + batch.nbytes > BYTES_PER_GROUP):
            yield group
            group, rows, size = [], 0, 0
        group.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if group:
        yield group


class _Sink:
    """An entry as the file that Arrow writes to."""

    closed = False

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._place = 0

    def write(self, content: Any) -> int:
        content = bytes(content)
        self._entry.write(content)
        self._place += len(content)
        return len(content)

    def tell(self) -> int:
        return self._place

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """The entry is closed by the archive."""
