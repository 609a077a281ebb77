"""The tables, those of the original ckanpackager, and what a database that is named may lack of them."""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, false, inspect, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from ckanpackager.statistics import totals

_WORDS = String().with_variant(Text(), "mysql", "mariadb")  # where VARCHAR needs a length
_TABLES = MetaData()


def _table(name: str, *own: Column[Any]) -> Table:
    return Table(
        name,
        _TABLES,
        Column("id", Integer, primary_key=True),
        Column("timestamp", BigInteger),  # seconds since 1970
        Column("resource_id", _WORDS),
        Column("email", _WORDS),
        Column("domain", _WORDS),
        *own,
        Column("job", String(255)),  # null in the original's rows
        Index(f"ckanpackager_{name}_job", "job", unique=True),
    )


REQUESTS = _table("requests", Column("count", BigInteger))
ERRORS = _table("errors", Column("message", Text))


def prepare(engine: Engine) -> bool:
    """Add what the database lacks; another process may have just done the same.  Whether it keeps totals."""
    if _is_complete(engine):
        return True
    for lack in _lacks(engine):
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(lack)
        except DBAPIError:
            if lack in _lacks(engine):
                raise
    if not totals.kept_by(engine.dialect.name):
        return False
    if not inspect(engine).has_table(totals.TOTALS.name):
        try:
            with engine.begin() as connection:
                totals.create(connection)
        except DBAPIError:  # no right to make tables, or the database is locked: totals are counted from the rows
            return inspect(engine).has_table(totals.TOTALS.name)
    return True


def _is_complete(engine: Engine) -> bool:
    """Whether totals are kept, which are made last, and no column lacks: three small queries, not a dozen."""
    try:
        with engine.connect() as connection:
            for table in (*_TABLES.sorted_tables, totals.TOTALS):
                connection.execute(select(table).where(false()))
    except DBAPIError:  # the long way finds out why, and says it
        return False
    return True


def _lacks(engine: Engine) -> list[str]:
    """The statements that would make the database complete, in their order."""
    found = inspect(engine)
    statements: list[Any] = []
    for table in _TABLES.sorted_tables:
        (index,) = table.indexes
        if not found.has_table(table.name):
            statements += [CreateTable(table), CreateIndex(index)]
            continue
        present = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                definition = CreateColumn(column).compile(dialect=engine.dialect)
                statements.append(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
        if index.name not in {present["name"] for present in found.get_indexes(table.name)}:
            statements.append(CreateIndex(index))
    return [sql if isinstance(sql, str) else str(sql.compile(dialect=engine.dialect)) for sql in statements]
