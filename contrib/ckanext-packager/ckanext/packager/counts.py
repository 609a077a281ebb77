"""How many rows a selection gives, and how large its file will be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import ckan.plugins.toolkit as tk
from ckan import model
from sqlalchemy.exc import DBAPIError

from ckanext.packager import estimate

_ESTIMATE_FROM = 100_000  # rows; CKAN counts larger tables roughly where nothing is selected, and fast


class Counted(NamedTuple):
    """What a selection gives.

    Attributes:
        rows: None if CKAN cannot apply the selection.
        estimated: whether `rows` is about right only.
        size: about so many bytes as a zipped CSV; None if unknown.
        problem: CKAN's own words when it cannot apply the selection.
    """

    rows: int | None
    estimated: bool = False
    size: int | None = None
    problem: str = ""


def count(user: str, resource_id: str, query: Mapping[str, Any], *, sample: bool = True) -> Counted:
    """Ask CKAN's DataStore, with the person's own rights."""
    try:
        found = _search(user, resource_id, {**query, "limit": 0, "total_estimation_threshold": _ESTIMATE_FROM})
        rows = int(found.get("total") or 0)
        size = _size(user, resource_id, query, rows) if sample and rows else None
    except tk.ValidationError as error:
        return Counted(None, problem=_words(error))
    except DBAPIError:  # what CKAN does not catch, a search term that PostgreSQL cannot read, say
        model.Session.rollback()
        return Counted(None, problem=tk._("the DataStore cannot read it"))
    return Counted(rows, bool(found.get("total_was_estimated")), size)


def _size(user: str, resource_id: str, query: Mapping[str, Any], rows: int) -> int | None:
    options = {"limit": estimate.SAMPLE_ROWS, "records_format": "csv", "include_total": False}
    sample = _search(user, resource_id, {**query, **options})["records"]
    return estimate.zipped_size(sample, min(rows, estimate.SAMPLE_ROWS), rows)


def _search(user: str, resource_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = tk.get_action("datastore_search")({"user": user}, {"resource_id": resource_id, **options})
    return found


def _words(error: tk.ValidationError) -> str:
    texts = []
    for name, values in error.error_dict.items():
        if not name.startswith("__"):
            texts += [str(value) for value in (values if isinstance(values, list) else [values])]
    return "; ".join(texts) or str(error)
