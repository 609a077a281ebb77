"""Tables with everything that is hard to write, and the kinds of servers that send them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ckanpackager.demo.ckan_api import JSON_NULL, CkanApi, Resource

SERVERS: dict[str, dict[str, Any]] = {
    "2.7": {"version": (2, 7)},
    "2.11": {"version": (2, 11)},
    "2.12": {"version": (2, 12)},
    "solr": {"backend": "solr"},
    "versioned-datastore": {"backend": "versioned-datastore"},
}


AWKWARD_FIELDS: list[dict[str, Any]] = [
    {"id": "_id", "type": "int"},
    {"id": "text", "type": "text"},
    {"id": "Text", "type": "text"},
    {"id": "TEXT", "type": "text"},
    {"id": 'a "quoted", name', "type": "text"},
    {"id": "tab\tname", "type": "text"},
    {"id": "größe 🦋 %s", "type": "numeric"},
    {"id": "float", "type": "float8"},
    {"id": "big", "type": "int8"},
    {"id": "truth", "type": "bool"},
    {"id": "when", "type": "timestamp"},
    {"id": "document", "type": "json"},
]


TEXTS = [
    None,
    "",
    " ",
    '"',
    'He said "no", twice',
    "a,b;c\td",
    "two\nlines",
    "two\r\nlines\r",
    "\ufeffmark",
    "🦋 𐍈𐌰 é e\u0301 \u2028 \u202e",
    "=SUM(A1:A9)",
    "+1",
    "0012345678901234567890",
    "null",
    "\\N",
    "\\.",
    "back\\slash\\n",
    "bell \x07 escape \x1b",
    "_x0041_",
    "'",
    "x" * 70_000 + "\n",
]


DOCUMENTS = [None, JSON_NULL, [], {}, {"a": [1, 2.50, None, "ü\n"]}, "text", ["a,b", {"c": '"'}], 5, True]


def awkward() -> list[list[Any]]:
    """Rows of AWKWARD_FIELDS, each text and each document in every workspace that it can stand in."""
    rows = []
    for number, text in enumerate(TEXTS * 2, 1):
        other = TEXTS[number * 5 % len(TEXTS)]
        rows.append(
            [
                number,
                text,
                other,
                TEXTS[number * 11 % len(TEXTS)],
                "x" if number % 2 else None,
                text,
                [None, Decimal("70.4300"), Decimal("-0.000001230"), Decimal("123456789012345678901234567890.10")][
                    number % 4
                ],
                [None, 0.1, -2.5e-7, 1e22][number % 4],
                [None, 2**63 - 1, -(2**63), 0][number % 4],
                [True, False, None][number % 3],
                [None, "2018-12-17T11:23:06.000", "0753-04-21T00:00:00.000"][number % 3],
                DOCUMENTS[number % len(DOCUMENTS)],
            ]
        )
    return rows


def server(kind: str, fields: Sequence[dict[str, Any]], rows: list[list[Any]], **options: Any) -> CkanApi:
    """A CKAN of that kind, with these rows as the resource `r`."""
    chosen = SERVERS[kind] | options
    backend = chosen.pop("backend", None)
    return CkanApi({"r": Resource(list(fields), rows, backend=backend)}, **chosen)
