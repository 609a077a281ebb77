"""What the versions of CKAN do differently, as data: each quirk with the versions that have it and where it was seen.

The paths are those of CKAN's source; "seen" means on a real CKAN of that version.
"""

from typing import NamedTuple

Version = tuple[int, ...]

LAST: dict[Version, int] = {(2, 7): 12, (2, 8): 12, (2, 9): 11, (2, 10): 11, (2, 11): 6, (2, 12): 0}
FIRST_OF_ALL: Version = (0,)
NONE_YET: Version = (99,)
_SEARCH = "ckanext/datastore/backend/postgres.py"
_SCHEMA = "ckanext/datastore/logic/schema.py, datastore_search_schema"


class Quirk(NamedTuple):
    """Something that a CKAN does from one version up to, but not including, another; `source` says how we know."""

    versions: tuple[tuple[Version, Version], ...]
    source: str


QUIRKS = {
    "knows records_format": Quirk((((2, 8), NONE_YET),), _SCHEMA),
    "knows include_total": Quirk((((2, 7, 12), NONE_YET),), _SCHEMA),
    "knows total_estimation_threshold": Quirk((((2, 9), NONE_YET),), _SCHEMA),
    "knows include_next_page": Quirk((((2, 12), NONE_YET),), _SCHEMA),
    "caps limit at rows_max": Quirk((((2, 9), NONE_YET),), f"{_SCHEMA}: limit_to_configured_maximum"),
    "ranges": Quirk((((2, 12), NONE_YET),), "ckanext/datastore/backend/postgres.py, filter operations; seen on 2.12.0"),
    "milliseconds": Quirk((((2, 12), NONE_YET),), "seen on 2.12.0; 2.11.6 has none"),
    "lists without the rows that have a NULL": Quirk(
        (((2, 8), (2, 9, 10)), ((2, 10), (2, 10, 2))),
        f"{_SEARCH}, datastore_search: to_json without coalesce; seen on 2.10.0",
    ),
    "lists take a page first and make it distinct then": Quirk((((2, 8), (2, 12)),), f"{_SEARCH}, search_data"),
    "text and objects take a page first and make it distinct then": Quirk(
        (((2, 10, 8), (2, 11)), ((2, 11, 3), (2, 12))), f"{_SEARCH}, search_data; seen on 2.10.11 and 2.11.6"
    ),
    "refuses sorted distinct lists": Quirk((((2, 12), NONE_YET),), "seen on 2.12.0: 409, Invalid query"),
    "refuses lists with ranks": Quirk(
        (((2, 9), NONE_YET),),
        "datastore_search puts an alias into a sum of texts; seen on 2.10.0, 2.10.11, 2.11.6 and 2.12.0: 409",
    ),
    "names all fields and adds unnamed ranks": Quirk(
        (((2, 7), (2, 9)),), f"{_SEARCH}, search_data and datastore_search of 2.7.12 and 2.8.12"
    ),
    "answers 500 to a wrong value in text": Quirk(
        (((2, 8), NONE_YET),), f"{_SEARCH}, _execute_single_statement_copy_to; seen on 2.10.11, 2.11.6 and 2.12.0"
    ),
    "takes a word after a colon for a parameter": Quirk(
        (((2, 11), NONE_YET),), f"{_SEARCH}: sqlalchemy.text; seen on 2.11.6 and 2.12.0"
    ),
    "refuses statements with #": Quirk(
        (((2, 11, 6), (2, 12)),), "ckanext/datastore/helpers.py, is_single_statement; seen on 2.11.6"
    ),
}


def whole(version: Version) -> Version:
    """A version with its third number; the last one that there is where only two are given."""
    return version if len(version) > 2 else (*version, LAST.get(version[:2], 0))


def has(version: Version, quirk: str) -> bool:
    """Whether a CKAN of this version does this."""
    return any(begin <= version < end for begin, end in QUIRKS[quirk].versions)
