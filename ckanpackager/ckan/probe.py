"""The first question to a server: the fields, the number of rows, and which of our wishes it knows.

What the versions of CKAN do differently, as far as it can be told from their answers (ckanext/datastore, by version):
`records_format` from 2.8, `include_total` from 2.7.12, `total_estimation_threshold` from 2.9, `include_next_page` and
ranges from 2.12.
"""

import re
from functools import partial
from typing import Any

from msgspec import UNSET, Struct

from ckanpackager.ckan.fetcher import PageFetcher
from ckanpackager.ckan.paging import Query, Request
from ckanpackager.ckan.responses import Field, Result
from ckanpackager.errors import PermanentFailure, TemporaryFailure
from ckanpackager.http_client import Refused, Unavailable

_WISHES = ("records_format", "include_next_page", "include_total", "total_estimation_threshold")
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")  # what SQLAlchemy takes for a parameter of the statement


class Offer(Struct, frozen=True, kw_only=True):
    """What a server offers for a search.

    Attributes:
        query: The query without what the server does not know, to be asked for page by page.
        counting: The same query, for the number of rows.
        fields: The columns of the rows, in their order.
        as_text, as_objects: What the rows come as.
        distinct: Whether equal rows have to be dropped, which the query does not ask the server for.
        stray: Members of objects that were not asked for.
    """

    query: Query
    counting: Query
    fields: list[Field]
    total: int | None
    backend: str | None
    has_after: bool
    include_next_page: bool
    as_text: bool
    as_objects: bool
    distinct: bool
    stray: frozenset[str] = frozenset()


def probe(fetcher: PageFetcher, query: Query, records_format: str) -> Offer:
    """Ask what the server offers.  Raises PermanentFailure and TemporaryFailure."""
    fields = requested_fields(query)
    distinct = bool(query.get("distinct")) and fields is not None and "_id" not in fields
    if query.get("distinct") and not distinct:
        query = {name: value for name, value in query.items() if name != "distinct"}  # no two rows have the same _id
    asked = {**query, "records_format": records_format, "include_next_page": True, "include_total": True}
    if query.get("q"):
        asked["total_estimation_threshold"] = None  # tells 2.8 from later ones
    if records_format == "lists" and (distinct or query.get("q")):
        asked["records_format"] = "objects"  # 2.12 refuses distinct lists, all versions refuse lists with ranks
    result, known, as_text = _ask(fetcher, asked)
    old = not result.include_next_page and result.backend is None
    before_2_9 = old and "q" in query and "total_estimation_threshold" not in known
    if old and (asked["records_format"] == "lists" or before_2_9) and "records_format" in known:
        # Lists of 2.8 to 2.9.9 and 2.10.0 to 2.10.1 lack every row that has a NULL; 2.8 adds ranks to rows of text.
        known["records_format"], as_text = "objects", False
    for name in ("include_next_page", "total_estimation_threshold"):
        known.pop(name, None)
    counting = dict(known)
    if "include_total" in known:
        known["include_total"] = False  # counting a filtered search again on every page would cost the server
    if distinct:
        known.pop("distinct")
    return Offer(
        query=known,
        counting=counting,
        fields=_columns(result, fields, query.get("q") if before_2_9 else None),
        total=result.total,
        backend=result.backend,
        has_after=result.after is not UNSET,
        include_next_page=result.include_next_page,
        as_text=as_text,
        as_objects=not as_text and known.get("records_format", "objects") == "objects",
        distinct=distinct,
        stray=frozenset(_ranks(query["q"])) - set(fields) if before_2_9 and fields else frozenset(),
    )


def requested_fields(query: Query) -> list[str] | None:
    """The fields that the query asks for; None for all."""
    fields = query.get("fields")
    if isinstance(fields, str):
        return [name.strip().strip('"') for name in fields.split(",")]
    return fields or None


def _columns(result: Result, requested: list[str] | None, q: Any) -> list[Field]:
    """The columns of the rows: 2.8 names all fields of the table whatever was asked for, and none of the ranks."""
    if requested is not None and result.backend is None:
        by_name = {field.id: field for field in result.fields}
        return [by_name.get(name, Field(name)) for name in requested]
    named = {field.id for field in result.fields}
    return [*result.fields, *(Field(name, "float4") for name in _ranks(q) if name not in named)]


def _ranks(q: Any) -> list[str]:
    """The columns that a search for words adds."""
    return [f"rank {name}" for name in q] if isinstance(q, dict) else ["rank"] if q else []


def _ask(fetcher: PageFetcher, asked: Query) -> tuple[Result, Query, bool]:
    """The answer, the query without what the server does not know, and whether rows come as text."""
    known = dict(asked)
    while True:
        try:
            result, page = fetcher.fetch_page(Request(known, 0), partial(_find_what_is_wrong, fetcher, known))
            return result, known, page.text is not None
        except Refused as refusal:
            unknown = [name for name in _WISHES if name in known and is_unknown_parameter(refusal, name)]
            if not unknown:
                raise _explained(refusal) from refusal
            for name in unknown:
                del known[name]


def _find_what_is_wrong(fetcher: PageFetcher, query: Query, failure: TemporaryFailure) -> None:
    """Ask once for objects: with csv and tsv CKAN 2.10 to 2.12 answer 500 to a wrong value, with objects in words."""
    if not (isinstance(failure, Unavailable) and failure.status == 500):
        return
    try:
        fetcher.fetch_once(Request({**query, "records_format": "objects"}, 0))
    except Refused as refusal:
        if not any(is_unknown_parameter(refusal, name) for name in _WISHES):
            raise _explained(refusal) from refusal
    except TemporaryFailure:
        if found := _PARAMETER.search(str(query.get("q") or "")):
            raise PermanentFailure(
                f"{failure}: CKAN cannot search for {found[0]!r}; leave the colon out of the search words"
            ) from failure


def _explained(refusal: Refused) -> Refused:
    if "not a single statement" not in str(refusal):
        return refusal
    why = "CKAN refuses columns and words that contain '#' or ';': rename the column, or leave it out of the request"
    return Refused(f"{refusal} ({why})", refusal.status)


def is_unknown_parameter(refusal: Refused, name: str) -> bool:
    """Whether a refusal says that the server does not know this parameter; it names only the first of several."""
    said = str(refusal)
    return (
        refusal.status == 409 and "__extras" in said and (name in said or not any(other in said for other in _WISHES))
    )
