"""Totals that the database itself keeps, by triggers, in the transaction that changes a row: they cannot drift.

Whatever writes to `requests` and `errors` (this program, the original, an administrator by hand) changes the totals
with it, or neither.  SQLite and PostgreSQL have them; in other databases totals are counted from the rows.

    ckanpackager_totals        by scope: requests, errors, and emails (different requesters, without case)
    ckanpackager_requesters    by scope and address: requests; how many of them there are is `emails` above

A scope is `*` for all resources together, or `=` and a resource's id.
"""

from sqlalchemy import BigInteger, Column, MetaData, String, Table, inspect, select
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateTable

EVERYTHING = "*"
_TABLES = MetaData()
TOTALS = Table(
    "ckanpackager_totals",
    _TABLES,
    Column("scope", String, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("emails", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
REQUESTERS = Table(
    "ckanpackager_requesters",
    _TABLES,
    Column("scope", String, primary_key=True),
    Column("email", String, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


def kept_by(dialect: str) -> bool:
    """Whether a database of that dialect keeps totals."""
    return dialect in ("sqlite", "postgresql")


def create(connection: Connection) -> None:
    """Make the tables and triggers, and fill them from the rows, in one transaction in which nothing else may write.

    If another process was faster, there is nothing to do.
    """
    lock(connection)
    if inspect(connection).has_table(TOTALS.name):
        return
    for table in (TOTALS, REQUESTERS):
        connection.execute(CreateTable(table))
    triggers = _sqlite_triggers() if connection.dialect.name == "sqlite" else _postgresql_triggers()
    for statement in (*_FILL, *triggers):
        connection.exec_driver_sql(statement)


def lock(connection: Connection) -> None:
    """Let nothing else write to `requests` and `errors` before the end of the transaction, which this begins."""
    sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql(
        "BEGIN IMMEDIATE" if sqlite else "LOCK TABLE requests, errors IN SHARE ROW EXCLUSIVE MODE"
    )


def read(connection: Connection, resource_id: str | None, *, only_all: bool = False) -> dict[str, dict[str, int]]:
    """Requests, emails and errors by resource id, `*` for all together; of one resource, if it has any."""
    query = select(TOTALS.c.scope, TOTALS.c.emails, TOTALS.c.requests, TOTALS.c.errors)
    if resource_id is not None:
        query = query.where(TOTALS.c.scope == f"={resource_id}")
    elif only_all:
        query = query.where(TOTALS.c.scope == EVERYTHING)
    none = {"emails": 0, "requests": 0, "errors": 0}
    totals = {EVERYTHING: none} if resource_id is None else {}
    for scope, emails, requests, errors in connection.execute(query):
        if scope == EVERYTHING or requests or errors:
            totals[scope.removeprefix("=")] = {"emails": emails, "requests": requests, "errors": errors}
    return totals


_BOTH = "(SELECT '*' AS scope UNION ALL SELECT '=' || coalesce({row}.resource_id, ''))"

_FILL = (
    """INSERT INTO ckanpackager_requesters (scope, email, requests)
       SELECT '=' || coalesce(resource_id, ''), lower(email), count(*) FROM requests WHERE email IS NOT NULL
       GROUP BY 1, 2""",
    """INSERT INTO ckanpackager_requesters (scope, email, requests)
       SELECT '*', lower(email), count(*) FROM requests WHERE email IS NOT NULL GROUP BY 2""",
    """INSERT INTO ckanpackager_totals (scope, requests, emails, errors)
       SELECT scope, sum(requests), 0, sum(errors) FROM (
           SELECT '=' || coalesce(resource_id, '') AS scope, count(*) AS requests, 0 AS errors FROM requests GROUP BY 1
           UNION ALL SELECT '=' || coalesce(resource_id, ''), 0, count(*) FROM errors GROUP BY 1
           UNION ALL SELECT '*', count(*), 0 FROM requests
           UNION ALL SELECT '*', 0, count(*) FROM errors) AS counted
       GROUP BY scope""",
    """UPDATE ckanpackager_totals SET emails =
       (SELECT count(*) FROM ckanpackager_requesters AS r WHERE r.scope = ckanpackager_totals.scope)""",
)


def _sqlite_count(column: str, row: str, step: int) -> str:
    """Change a total by `step` in the scopes of a row, and the requester's number of requests with it."""
    both = _BOTH.format(row=row)
    scopes = f"(SELECT scope FROM {both})"
    totals = f"UPDATE ckanpackager_totals SET {column} = {column} + {step} WHERE scope IN {scopes};"
    if step > 0:
        totals = (
            f"INSERT INTO ckanpackager_totals SELECT scope, 0, 0, 0 FROM {both} AS own WHERE NOT EXISTS "
            f"(SELECT 1 FROM ckanpackager_totals AS t WHERE t.scope = own.scope);{totals}"
        )
    if column == "errors":
        return totals
    email = f"lower({row}.email)"
    own = f"scope IN {scopes} AND email = {email}"
    requester = f"UPDATE ckanpackager_requesters SET requests = requests + {step} WHERE {own};"
    if step > 0:
        requester = (
            f"INSERT INTO ckanpackager_requesters SELECT scope, {email}, 0 FROM {both} AS own "
            f"WHERE {email} IS NOT NULL AND NOT EXISTS "
            f"(SELECT 1 FROM ckanpackager_requesters AS r WHERE r.scope = own.scope AND r.email = {email});{requester}"
        )
    else:
        requester += f"DELETE FROM ckanpackager_requesters WHERE {own} AND requests = 0;"
    return totals + requester


def _sqlite_triggers() -> tuple[str, ...]:
    triggers = {
        "new_requester": "AFTER INSERT ON ckanpackager_requesters BEGIN "
        "UPDATE ckanpackager_totals SET emails = emails + 1 WHERE scope = NEW.scope; END",
        "lost_requester": "AFTER DELETE ON ckanpackager_requesters BEGIN "
        "UPDATE ckanpackager_totals SET emails = emails - 1 WHERE scope = OLD.scope; END",
    }
    for table, columns in (("requests", "resource_id, email"), ("errors", "resource_id")):
        old, new = _sqlite_count(table, "OLD", -1), _sqlite_count(table, "NEW", 1)
        triggers[f"{table}_inserted"] = f"AFTER INSERT ON {table} BEGIN {new} END"
        triggers[f"{table}_deleted"] = f"AFTER DELETE ON {table} BEGIN {old} END"
        triggers[f"{table}_updated"] = f"AFTER UPDATE OF {columns} ON {table} BEGIN {old}{new} END"
    return tuple(f"CREATE TRIGGER ckanpackager_{name} {action}" for name, action in triggers.items())


def _postgresql_triggers() -> tuple[str, ...]:
    """By statement, with the sums of all its rows: one that changes many rows changes each total once."""
    statements = []
    for table, change in (("requests", _REQUESTS_CHANGE), ("errors", _ERRORS_CHANGE)):
        for event, rows in _ROWS.items():
            name = f"ckanpackager_{table}_{event.lower()}"
            both = " UNION ALL ".join(
                f"SELECT {scope} AS scope, {'lower(email)' if table == 'requests' else 'NULL'} AS email, "
                f"{step} AS step FROM {source}"
                for source, step in rows.items()
                for scope in ("'*'", "'=' || coalesce(resource_id, '')")
            )
            action = change.format(changes=f"SELECT scope, email, sum(step) AS step FROM ({both}) AS s GROUP BY 1, 2")
            if table == "requests" and "old_rows" in rows:
                action += _FORGET
            known = " ".join(f"{source[:3].upper()} TABLE AS {source}" for source in rows)
            trigger = f"AFTER {event} ON {table} REFERENCING {known} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
            statements += [postgresql_function(name, action), f"CREATE TRIGGER {name} {trigger}"]
        name = f"ckanpackager_{table}_emptied"
        trigger = f"AFTER TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        statements += [postgresql_function(name, _EMPTIED[table]), f"CREATE TRIGGER {name} {trigger}"]
    return tuple(statements)


def postgresql_function(name: str, action: str) -> str:
    """With the rights of its owner, so that who may write `requests` needs none on the totals."""
    how = "LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT"
    return f"CREATE FUNCTION {name}() RETURNS trigger {how} AS $$ BEGIN {action} RETURN NULL; END $$"


_ROWS = {
    "INSERT": {"new_rows": 1},
    "UPDATE": {"old_rows": -1, "new_rows": 1},
    "DELETE": {"old_rows": -1},
}
_REQUESTS_CHANGE = """
    WITH changes AS ({changes}),
    known AS (
        INSERT INTO ckanpackager_requesters AS r SELECT scope, email, step FROM changes
        WHERE email IS NOT NULL AND step <> 0 ORDER BY 1, 2
        ON CONFLICT (scope, email) DO UPDATE SET requests = r.requests + excluded.requests
        RETURNING r.scope, r.email, r.requests)
    INSERT INTO ckanpackager_totals AS t
        SELECT scope, sum(step), count(*) FILTER (WHERE step > 0 AND requests = step)
            - count(*) FILTER (WHERE requests = 0), 0
        FROM changes LEFT JOIN known USING (scope, email) WHERE step <> 0 GROUP BY scope ORDER BY scope
        ON CONFLICT (scope) DO UPDATE
            SET requests = t.requests + excluded.requests, emails = t.emails + excluded.emails;
"""
_FORGET = """
    DELETE FROM ckanpackager_requesters WHERE requests = 0 AND (scope, email) IN (
        SELECT '*', lower(email) FROM old_rows
        UNION SELECT '=' || coalesce(resource_id, ''), lower(email) FROM old_rows);
"""
_ERRORS_CHANGE = """
    INSERT INTO ckanpackager_totals AS t
        SELECT scope, 0, 0, step FROM ({changes}) AS changes WHERE step <> 0 ORDER BY scope
        ON CONFLICT (scope) DO UPDATE SET errors = t.errors + excluded.errors;
"""
_EMPTIED = {
    "requests": "DELETE FROM ckanpackager_requesters; UPDATE ckanpackager_totals SET requests = 0, emails = 0;",
    "errors": "UPDATE ckanpackager_totals SET errors = 0;",
}
