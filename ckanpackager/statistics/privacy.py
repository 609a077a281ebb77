"""What happens to addresses that are in the statistics already: hashing, forgetting, removing old rows."""

import secrets
from collections.abc import Callable, Iterator

from sqlalchemy import Table, case, delete, func, select, update
from sqlalchemy.engine import Connection, Engine

from ckanpackager.statistics.email_hash import Hash, is_hashed
from ckanpackager.statistics.schema import ERRORS, REQUESTS, explained

TABLES = (REQUESTS, ERRORS)
_AT_ONCE = 100  # addresses in one transaction: bcrypt takes a quarter of a second for each
_REMOVED = "(address removed)"


def clear_addresses(engine: Engine) -> int:
    """How many rows hold an address in clear.  Raises TemporaryFailure."""
    with explained(engine), engine.connect() as connection:
        counts = [select(func.count()).select_from(table).where(table.c.email.contains("@")) for table in TABLES]
        return sum(connection.execute(count).scalar_one() for count in counts)


def anonymize(engine: Engine, hashed: Hash, tell: Callable[[int, int], object], *, dry_run: bool) -> dict[str, int]:
    """Hash each address that is in clear; what is hashed already stays, so it can be done again, or go on.

    `tell` gets the number of addresses that are done, and of all.  Gives the number of rows by table.
    Raises TemporaryFailure.
    """
    with explained(engine):
        with engine.connect() as connection:
            waiting = list(dict.fromkeys(email for table in TABLES for email in _addresses(connection, table)))
        rows = dict.fromkeys((table.name for table in TABLES), 0)
        for start in range(0, len(waiting), _AT_ONCE):
            with engine.connect() as connection:
                _overwrite(connection)
                for number, email in enumerate(waiting[start : start + _AT_ONCE], start + 1):
                    for table in TABLES:
                        rows[table.name] += _hash_address(connection, table, email, hashed, dry_run)
                    tell(number, len(waiting))
                if not dry_run:
                    connection.commit()
    return rows


def forget(engine: Engine, email: str, hashed: Hash | None) -> int:
    """Put a name that tells nothing in the place of a person's address, in clear or hashed; in how many rows.

    The rows stay, so that the numbers of requests and of requesters do.  Raises TemporaryFailure.
    """
    name = f"forgotten-{secrets.token_hex(8)}"
    known = [email.strip().lower(), *([hashed(email)] if hashed else [])]
    changed = 0
    with explained(engine), engine.begin() as connection:
        _overwrite(connection)
        for table in TABLES:
            theirs = func.lower(table.c.email).in_([each.lower() for each in known])
            changed += connection.execute(
                update(table).where(theirs).values(email=name, domain=None, **_message(table, email))
            ).rowcount
        connection.execute(update(ERRORS).where(ERRORS.c.message.contains(email)).values(**_message(ERRORS, email)))
    return changed


def count_older(connection: Connection, before: float) -> int:
    """How many rows are from before a time, in seconds since 1970."""
    counts = [select(func.count()).select_from(table).where(table.c.timestamp < int(before)) for table in TABLES]
    return sum(connection.execute(count).scalar_one() for count in counts)


def remove_older(engine: Engine, before: float) -> int:
    """Remove the rows from before a time, in seconds since 1970; how many.  Raises TemporaryFailure."""
    with explained(engine), engine.begin() as connection:
        return sum(
            connection.execute(delete(table).where(table.c.timestamp < int(before))).rowcount for table in TABLES
        )


def _overwrite(connection: Connection) -> None:
    """Let SQLite write zeros over what it removes, instead of leaving it in the file."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


def _addresses(connection: Connection, table: Table) -> Iterator[str]:
    """The addresses in clear, whatever they look like: the original took any text."""
    found = connection.execute(select(table.c.email).distinct().where(table.c.email != ""))
    return (email for email in found.scalars() if not is_hashed(email) and not email.startswith("forgotten-"))


def _hash_address(connection: Connection, table: Table, email: str, hashed: Hash, dry_run: bool) -> int:
    if dry_run:
        count = select(func.count()).select_from(table).where(table.c.email == email)
        return connection.execute(count).scalar_one()
    domain = email.partition("@")[2].strip().lower() or email.lower()
    values = {"email": hashed(email), "domain": case((table.c.domain.is_(None), domain), else_=table.c.domain)}
    result = connection.execute(update(table).where(table.c.email == email).values(**values, **_message(table, email)))
    return result.rowcount


def _message(table: Table, email: str) -> dict[str, object]:
    """The message of an error without the address in it."""
    return {"message": func.replace(table.c.message, email, _REMOVED)} if table is ERRORS else {}
