"""The rows of the statistics: what is recorded of a request that was served, and of one that failed.  Pure."""

from typing import Any, NotRequired, TypedDict

from ckanpackager.statistics.email_hash import Hash


class Served(TypedDict):
    """A request that was served."""

    job: str
    resource_id: str
    email: str
    count: int | None  # rows
    now: float  # seconds since 1970
    size: NotRequired[int | None]  # bytes of the archive
    format: NotRequired[str | None]
    task: NotRequired[str | None]


class Failed(TypedDict):
    """A request that failed."""

    job: str
    resource_id: str
    email: str
    message: str
    now: float  # seconds since 1970
    kind: NotRequired[str | None]  # one of errors.FAILURE_KINDS


def request_row(about: Served, hashed: Hash | None) -> dict[str, Any]:
    """The row of `requests`, by column."""
    own = {
        "count": about["count"],
        "bytes": about.get("size"),
        "format": about.get("format"),
        "task": about.get("task"),
    }
    return _row(about, hashed) | own


def error_row(about: Failed, hashed: Hash | None) -> dict[str, Any]:
    """The row of `errors`, by column."""
    return _row(about, hashed) | {"message": storable(about["message"]), "kind": about.get("kind")}


def _row(about: Served | Failed, hashed: Hash | None) -> dict[str, Any]:
    email = storable(about["email"])
    return {
        "job": about["job"],
        "timestamp": int(about["now"]),
        "resource_id": storable(about["resource_id"]),
        "email": known_as(email, hashed),
        "domain": email.rpartition("@")[2].strip().lower(),
    }


def known_as(email: str, hashed: Hash | None) -> str:
    """An address as it stands in the tables: as typed, or hashed."""
    address = storable(email)
    return hashed(address) if hashed and address else address


def storable(value: str) -> str:
    """Without what databases refuse: NUL, and halves of surrogate pairs."""
    return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
