"""What CKAN says of a dataset and its resources, as far as an archive repeats it.  Pure.

CKAN's answers hold what people typed in, and extensions add fields: every value may be missing, or of another kind.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct

_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?\s*(10\.[^\s/]+/\S+)", re.IGNORECASE)
_API_OR_UPLOAD = re.compile(r"(https?://.+?)(?:/api/|/dataset/[^/]+/resource/[^/]+/download/)", re.IGNORECASE)
_NO_LICENCE = frozenset(["", "notspecified", "None"])


class Licence(Struct, frozen=True):
    """A licence as CKAN names it."""

    id: str = ""
    title: str = ""
    url: str = ""

    def __bool__(self) -> bool:
        return bool(self.url) or self.id not in _NO_LICENCE or (bool(self.title) and self.id == "")

    @property
    def name(self) -> str:
        return self.title or self.id or self.url


class Person(Struct, frozen=True):
    """A person, or an organization, who has a part in a dataset: `role` is author or maintainer."""

    name: str
    email: str
    role: str


class Dataset(Struct, frozen=True, kw_only=True):
    """A dataset; what is not known is an empty text."""

    name: str
    title: str
    page: str = ""  # the URL of its page on the CKAN site
    homepage: str = ""
    description: str = ""
    version: str = ""
    publisher: str = ""
    licence: Licence = Licence()
    people: tuple[Person, ...] = ()
    keywords: tuple[str, ...] = ()
    doi: str = ""
    created: str = ""  # times, as CKAN writes them
    modified: str = ""

    def person(self, role: str) -> Person | None:
        return next((person for person in self.people if person.role == role), None)


class Resource(Struct, frozen=True, kw_only=True):
    """A resource of a dataset."""

    id: str
    title: str
    description: str = ""
    page: str = ""


def dataset_from(package: Mapping[str, Any], site: str, fallback: str = "") -> Dataset:
    """The dataset of a `package_show`; `site` is the URL of its CKAN, `fallback` a name where there is none."""
    name = text(package, "name") or text(package, "id") or fallback
    organization = package.get("organization")
    people = [
        Person(who, text(package, f"{role}_email"), role)
        for role in ("author", "maintainer")
        if (who := one_line(package, role))
    ]
    return Dataset(
        name=name,
        title=one_line(package, "title") or name,
        page=f"{site}/dataset/{quote(name)}" if site else "",
        homepage=url(package, "url"),
        description=text(package, "notes").strip(),
        version=one_line(package, "version"),
        publisher=one_line(organization, "title") or one_line(organization, "name"),
        licence=Licence(text(package, "license_id"), one_line(package, "license_title"), url(package, "license_url")),
        people=tuple(people),
        keywords=tuple(filter(None, (one_line(tag, "name") for tag in mappings(package, "tags")))),
        doi=doi_in(text(package, "doi") or _extra(package, "doi")),
        created=text(package, "metadata_created"),
        modified=text(package, "metadata_modified"),
    )


def resource_from(resource: Mapping[str, Any], dataset: Dataset | None) -> Resource:
    """The resource of a `resource_show`, or of a dataset's list."""
    id = text(resource, "id")
    return Resource(
        id=id,
        title=one_line(resource, "name") or id or "resource",
        description=text(resource, "description").strip(),
        page=f"{dataset.page}/resource/{quote(id)}" if dataset and dataset.page and id else "",
    )


def site_of(address: str) -> str:
    """The URL of the CKAN site that an API's URL, or that of an uploaded file, belongs to; empty if none is known."""
    match = _API_OR_UPLOAD.match(address)
    return match[1] if match else ""


def doi_in(value: str) -> str:
    """The DOI that a text is, without what resolves it; empty if it is none."""
    match = _DOI.fullmatch(value.strip())
    return match[1] if match else ""


def text(values: Any, key: str) -> str:
    """A value that is a text, or a number as one; empty for any other."""
    value = values.get(key) if isinstance(values, Mapping) else None
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def one_line(values: Any, key: str) -> str:
    return " ".join(text(values, key).split())


def url(values: Any, key: str) -> str:
    """A value that is a URL; empty for any other."""
    value = text(values, key).strip()
    return value if _URL.fullmatch(value) else ""


def mappings(values: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects in a value that is a list; none for any other."""
    value = values.get(key)
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _extra(package: Mapping[str, Any], key: str) -> str:
    extras = mappings(package, "extras")
    return next((text(extra, "value") for extra in extras if text(extra, "key").lower() == key), "")
