"""Made-up specimens: a table as a natural history museum might publish it, the same at every call.

Nothing in it is real, and it holds what breaks careless software: scripts beyond Latin, emoji, quotes, line breaks,
tabs, text that looks like a number or a formula, empty texts beside nulls, and documents within a cell.
"""

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

FIELDS: list[dict[str, str]] = [
    {"id": "_id", "type": "int"},
    {"id": "Catalog Number", "type": "text"},
    {"id": "Occurrence ID", "type": "text"},
    {"id": "Institution Code", "type": "text"},
    {"id": "Collection Code", "type": "text"},
    {"id": "Basis Of Record", "type": "text"},
    {"id": "Scientific Name", "type": "text"},
    {"id": "Scientific Name Authorship", "type": "text"},
    {"id": "Kingdom", "type": "text"},
    {"id": "Family", "type": "text"},
    {"id": "Genus", "type": "text"},
    {"id": "Type Status", "type": "text"},
    {"id": "Recorded By", "type": "text"},
    {"id": "Event Date", "type": "text"},
    {"id": "Country", "type": "text"},
    {"id": "State Province", "type": "text"},
    {"id": "Locality", "type": "text"},
    {"id": "Decimal Latitude", "type": "numeric"},
    {"id": "Decimal Longitude", "type": "numeric"},
    {"id": "Coordinate Uncertainty In Meters", "type": "float8"},
    {"id": "Individual Count", "type": "int4"},
    {"id": "Occurrence Remarks", "type": "text"},
    {"id": "Modified", "type": "timestamp"},
    {"id": "Associated Media", "type": "json"},
    {"id": "Cabinet", "type": "text"},
    {"id": "Drawer", "type": "int4"},
    {"id": "Image Checked", "type": "bool"},
]

DATASET: dict[str, Any] = {
    "id": "made-up-specimens",
    "name": "specimens",
    "title": "Specimens",
    "notes": "Made-up specimens, as a natural history museum might publish them. Nothing in them is real.",
    "organization": {"name": "museum", "title": "Museum of Made-up Nature"},
    "author": "The curators",
    "license_id": "cc-zero",
    "license_title": "Creative Commons CCZero",
    "license_url": "https://creativecommons.org/publicdomain/zero/1.0/",
    "metadata_created": "2026-01-01T00:00:00.000000",
}
"""What `package_show` says of them, without their resource."""

_TAXA = [  # name, authorship, kingdom, family
    ("Papilio xenophon", "Quill, 1821", "Animalia", "Papilionidae"),
    ("Carabus émeraldus", "Lefèvre, 1874", "Animalia", "Carabidae"),
    ("Quercus fabulosa", "Ødegård", "Plantae", "Fagaceae"),
    ("Turdus hypotheticus", "(Müller & Sáez, 1902)", "Animalia", "Turdidae"),
    ("Salmo inventus “forma alba”", "Grey, 1790", "Animalia", "Salmonidae"),
    ("Crocus imaginarius “Frühling”", "hort.", "Plantae", "Iridaceae"),
]

_PLACES = [
    ("Japan", "東京都", "高尾山の麓、沢沿い"),
    ("Ísland", "Suðurland", "Við ána, 3 km austan við Bakka"),
    ("Brasil", "Pará", 'Fazenda "Boa Esperança", curral velho'),
    ("France", "Aude", "Forêt de Val-d'Aulne\nparcelle 12, sous écorce"),
    ("Ελλάδα", "Κρήτη", "Λόφος πάνω από το λιμάνι"),
    ("Kenya", "Kajiado", "Ridge camp;\teast slope"),
    ("", "", ""),
    (None, None, None),
]

_COLLECTORS = ["Ainsworth, B.", "佐藤 花子", "O'Dowd, N.; Żuraw, K.", "García-Peña, L. | Ito, M.", "", None]

_REMARKS = [
    None,
    "",
    "Left hind leg missing",
    'Label reads: "bought, not caught"',
    "=SUM(1,2) was written on the box",
    "Seen 🦋, lost, found again 🔍",
    "first line\r\nsecond line",
    "'; a stray quote, a back\\slash and a 50 % guess",
]

_LICENCE = "https://creativecommons.org/publicdomain/zero/1.0/"


def rows(count: int, seed: int = 1) -> Iterator[list[Any]]:
    """The first `count` specimens of the collection with this seed, values in the order of FIELDS."""
    chance = Random(seed)
    for number in range(1, count + 1):
        yield _row(number, chance)


def _row(number: int, chance: Random) -> list[Any]:
    name, authorship, kingdom, family = chance.choice(_TAXA)
    country, province, locality = _PLACES[number % len(_PLACES)]
    located = chance.random() < 0.8
    return [
        number,
        f"ZZZ-{number:07}",
        f"urn:uuid:{UUID(int=chance.getrandbits(128), version=4)}",
        "ZZZ",
        chance.choice(["ENT", "BOT", "ZOO"]),
        "PreservedSpecimen",
        name,
        authorship,
        kingdom,
        family,
        name.split()[0],
        chance.choice([None, None, None, "", "Holotype", "Paratype"]),
        chance.choice(_COLLECTORS),
        _event_date(chance),
        country,
        province,
        locality,
        Decimal(chance.randrange(-900_000, 900_001)).scaleb(-4) if located else None,
        Decimal(chance.randrange(-1_800_000, 1_800_001)).scaleb(-4) if located else None,
        chance.choice([0.5, 10.0, 250.75, 1e4]) if located else None,
        chance.choice([None, 0, 1, 1, 2, 14]),
        _REMARKS[number * 3 % len(_REMARKS)],
        _modified(number, chance),
        _media(number, name, chance),
        f"{number % 40:03}",
        number % 12 + 1,
        chance.choice([True, False, None]),
    ]


def _event_date(chance: Random) -> str | None:
    """As labels have it: a day, a month, a year, a span of years, or nothing."""
    year = chance.randrange(1760, 2024)
    return chance.choice([f"{year}-07-{chance.randrange(10, 29)}", f"{year}-05", str(year), f"{year}/{year + 2}", None])


def _modified(number: int, chance: Random) -> str:
    day = f"{chance.randrange(2010, 2025)}-0{chance.randrange(1, 10)}-{chance.randrange(10, 29)}"
    return f"{day}T08:{number % 60:02}:00.250"


def _media(number: int, name: str, chance: Random) -> list[dict[str, Any]] | None:
    """No image, or one, or a few."""
    images = [
        {
            "type": "StillImage",
            "format": "image/jpeg",
            "identifier": f"https://media.example.org/{number}/{view}.jpg",
            "title": f"{name}, {view}",
            "license": _LICENCE,
        }
        for view in ["dorsal", "ventral", "label ✍"][: chance.choice([0, 0, 0, 0, 0, 0, 1, 1, 3])]
    ]
    return images or None
