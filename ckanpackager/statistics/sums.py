"""Sums by day and by month that the database itself keeps, by triggers, as `totals` does: they cannot drift.

    ckanpackager_sums    by dimension, period and name: requests, rows and bytes that were served, and errors

All requests together (the dimension `all`, without a name) are summed by day.  Those of a resource, domain, format,
task or kind of error are summed by month: by day there would be nearly as many sums as rows.  Days and months are UTC.
"""

from sqlalchemy import BigInteger, Column, MetaData, String, Table, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

from ckanpackager.statistics.totals import lock, postgresql_function

ALL = "all"
SUMS = Table(
    "ckanpackager_sums",
    MetaData(),
    Column("dimension", String, primary_key=True),
    Column("period", String, primary_key=True),  # 2026-11-25 or 2026-11; empty if a row has no time
    Column("name", String, primary_key=True),  # empty if a row has none
    Column("requests", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

_NAMES = {  # by table: the column of each dimension that its rows have
    "requests": {"resource": "resource_id", "domain": "domain", "format": "format", "task": "task"},
    "errors": {"resource": "resource_id", "domain": "domain", "kind": "kind"},
}
_NUMBERS = {  # by table: what a row adds to requests, rows, bytes and errors
    "requests": ("1", 'coalesce({row}"count", 0)', "coalesce({row}bytes, 0)", "0"),
    "errors": ("0", "0", "0", "1"),
}
_SUMMED = ("requests", "rows", "bytes", "errors")
_KEY = "(dimension, period, name)"
_EMPTY = "requests = 0 AND errors = 0"


def create(connection: Connection) -> None:
    """Make the table and triggers, and fill it from the rows, in one transaction in which nothing else may write.

    If another process was faster, there is nothing to do.
    """
    lock(connection)
    if inspect(connection).has_table(SUMS.name):
        return
    connection.execute(CreateTable(SUMS))
    dialect = connection.dialect.name
    fill = " UNION ALL ".join(_changes(dialect, table, table) for table in _NAMES)
    connection.exec_driver_sql(f"INSERT INTO ckanpackager_sums {_summed(fill)}")
    for statement in _sqlite_triggers() if dialect == "sqlite" else _postgresql_triggers():
        connection.exec_driver_sql(statement)


def period_name(dialect: str, timestamp: str, length: int) -> str:
    """SQL for the name of the day (10 characters) or month (7) of a column; empty for what is no time."""
    if dialect == "sqlite":
        return f"coalesce(substr(strftime('%Y-%m-%d', {timestamp}, 'unixepoch'), 1, {length}), '')"
    valid = f"{timestamp} BETWEEN -62135596800 AND 253402300799"  # the years 1 to 9999
    day = f"to_char(to_timestamp({timestamp}) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
    return f"CASE WHEN {valid} THEN substr({day}, 1, {length}) ELSE '' END"


def _changes(dialect: str, table: str, source: str, step: int = 1) -> str:
    """SQL for what rows add to the sums, or take from them: a line for each row and dimension."""
    numbers = ", ".join(
        f"{step} * {number.format(row='')} AS {name}" for number, name in zip(_NUMBERS[table], _SUMMED, strict=True)
    )
    return " UNION ALL ".join(f"SELECT {_named(key)}, {numbers} FROM {source}" for key in _keys(dialect, table))


def _keys(dialect: str, table: str, row: str = "") -> list[tuple[str, str, str]]:
    """SQL for dimension, period and name of each sum that a row belongs to."""
    day, month = (period_name(dialect, f"{row}timestamp", length) for length in (10, 7))
    names = _NAMES[table].items()
    return [(f"'{ALL}'", day, "''"), *((f"'{one}'", month, f"coalesce({row}{column}, '')") for one, column in names)]


def _named(key: tuple[str, str, str]) -> str:
    return "{} AS dimension, {} AS period, {} AS name".format(*key)


def _summed(changes: str) -> str:
    sums = ", ".join(f"sum({name})" for name in _SUMMED)
    changed = " OR ".join(f"sum({name}) <> 0" for name in _SUMMED)
    return (
        f"SELECT dimension, period, name, {sums} FROM ({changes}) AS changes "
        f"GROUP BY 1, 2, 3 HAVING {changed} ORDER BY 1, 2, 3"
    )


def _sqlite_triggers() -> list[str]:
    statements = []
    for table, names in _NAMES.items():
        old, new = _sqlite_change(table, "OLD.", "-"), _sqlite_change(table, "NEW.", "+")
        columns = ", ".join(["timestamp", *names.values(), *(['"count"', "bytes"] if table == "requests" else [])])
        events = {"INSERT": new, "DELETE": old, f"UPDATE OF {columns}": old + new}
        for event, action in events.items():
            name = f"ckanpackager_sums_{table}_{event.split()[0].lower()}"
            statements.append(f"CREATE TRIGGER {name} AFTER {event} ON {table} BEGIN {action} END")
    return statements


def _sqlite_change(table: str, row: str, sign: str) -> str:
    """Change the sum of each dimension by what a row has; each statement looks one sum up by its key."""
    numbers = ", ".join(
        f"{name} = {name} {sign} {number.format(row=row)}"
        for number, name in zip(_NUMBERS[table], _SUMMED, strict=True)
        if number != "0"
    )
    change = ""
    for dimension, period, name in _keys("sqlite", table, row):
        here = f"dimension = {dimension} AND period = {period} AND name = {name}"
        if sign == "+":
            change += (
                f"INSERT INTO ckanpackager_sums SELECT {dimension}, {period}, {name}, 0, 0, 0, 0 "
                f"WHERE NOT EXISTS (SELECT 1 FROM ckanpackager_sums WHERE {here});"
            )
        change += f"UPDATE ckanpackager_sums SET {numbers} WHERE {here};"
        if sign == "-":
            change += f"DELETE FROM ckanpackager_sums WHERE {here} AND {_EMPTY};"
    return change


def _postgresql_triggers() -> list[str]:
    """By statement, with the sums of all its rows."""
    statements: list[str] = []
    added = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in _SUMMED)
    for table in _NAMES:
        for event, rows in _ROWS.items():
            changes = " UNION ALL ".join(_changes("postgresql", table, source, step) for source, step in rows.items())
            action = f"INSERT INTO ckanpackager_sums AS t {_summed(changes)} ON CONFLICT {_KEY} DO UPDATE SET {added};"
            if "old_rows" in rows:
                keys = " UNION ".join(f"SELECT {_named(key)} FROM old_rows" for key in _keys("postgresql", table))
                action += f"DELETE FROM ckanpackager_sums WHERE {_EMPTY} AND {_KEY} IN ({keys});"
            known = " ".join(f"{source[:3].upper()} TABLE AS {source}" for source in rows)
            statements += _postgresql_trigger(table, event, action, f"REFERENCING {known}")
        numbers = ("errors",) if table == "errors" else ("requests", "rows", "bytes")
        zeros = ", ".join(f"{name} = 0" for name in numbers)
        emptied = f"UPDATE ckanpackager_sums SET {zeros}; DELETE FROM ckanpackager_sums WHERE {_EMPTY};"
        statements += _postgresql_trigger(table, "TRUNCATE", emptied)
    return statements


def _postgresql_trigger(table: str, event: str, action: str, referencing: str = "") -> tuple[str, str]:
    name = f"ckanpackager_sums_{table}_{event.lower()}"
    how = f"AFTER {event} ON {table} {referencing} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    return postgresql_function(name, action), f"CREATE TRIGGER {name} {how}"


_ROWS = {"INSERT": {"new_rows": 1}, "UPDATE": {"old_rows": -1, "new_rows": 1}, "DELETE": {"old_rows": -1}}
