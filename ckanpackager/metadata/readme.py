"""README.txt: what an archive holds, whose it is and how to cite it, for people.  Pure.

What comes from the site is text that people typed in: it stands there as it is, without control characters.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ckanpackager.metadata.contents import Contents, TableFile
from ckanpackager.metadata.query import query_in_words

STEM, SUFFIX = "README", ".txt"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def readme(contents: Contents) -> bytes:
    """The content of README.txt, in UTF-8."""
    title = _clean(contents.title)
    lines = [title, "=" * min(len(title), 100), ""]
    for heading, section in (
        ("How to cite", _citation(contents)),
        ("Licence", _licence(contents)),
        ("Source", _source(contents)),
        ("What was asked for", _query(contents)),
        ("Files", _files(contents)),
        ("What is missing", _missing(contents)),
        ("About the data", _about(contents)),
        ("Fields", _fields(contents)),
    ):
        if found := list(section):
            lines += [heading, "-" * len(heading), *found, ""]
    return "\n".join(lines).rstrip("\n").encode() + b"\n"


def _citation(contents: Contents) -> Iterator[str]:
    if contents.citation:
        yield _line(contents.citation)


def _licence(contents: Contents) -> Iterator[str]:
    if not contents.dataset:
        return
    licence = contents.dataset.licence
    if not licence:
        yield "The site names no licence. Ask the publisher before you use the data."
        return
    yield _line(licence.name)
    if licence.url and licence.url != licence.name:
        yield licence.url


def _source(contents: Contents) -> Iterator[str]:
    dataset, resource = contents.dataset, contents.resource
    if dataset:
        yield from _labelled("Publisher", dataset.publisher)
        for person in dataset.people:
            email = f" <{person.email}>" if person.email else ""
            yield from _labelled(person.role.capitalize(), f"{person.name}{email}")
        yield from _labelled("Dataset", dataset.page)
    if resource:
        yield from _labelled("Resource", resource.page)
    if dataset:
        yield from _labelled("Homepage", dataset.homepage)
        yield from _labelled("Version", dataset.version)
        yield from _labelled("Last change", dataset.modified)
    doi = contents.doi or (dataset.doi if dataset else "")
    yield from _labelled("DOI", f"https://doi.org/{doi}" if doi else "")
    pages = {dataset.page if dataset else "", dataset.homepage if dataset else "", resource.page if resource else ""}
    for source in contents.sources:
        if source not in pages:
            yield from _labelled("Fetched from", source)
    yield from _labelled("Fetched", f"{contents.fetched:%Y-%m-%d %H:%M} UTC")


def _query(contents: Contents) -> Iterator[str]:
    if any(isinstance(file, TableFile) for file in contents.files):
        words = query_in_words(contents.query)
        for label, sentence in words:
            yield from _labelled(label, sentence)
        if not words:
            yield "All rows and all fields."


def _files(contents: Contents) -> Iterator[str]:
    for file in contents.files:
        rows = f"{file.rows:,} rows, " if isinstance(file, TableFile) else ""
        title = f": {_line(file.title)}" if file.title and file.title not in (file.path, contents.name) else ""
        yield f"{_line(file.path)} ({rows}{file.size:,} bytes){title}"


def _missing(contents: Contents) -> Iterator[str]:
    for missing in contents.missing:
        yield f"{_line(missing.title)}: {_line(missing.error)}"
    for note in contents.notes:
        yield _line(note)
    if contents.problem:
        yield f"The site's description of the data: {_line(contents.problem)}"


def _about(contents: Contents) -> Iterator[str]:
    for each in (contents.dataset, contents.resource):
        if each and each.description:
            yield _clean(each.description)


def _fields(contents: Contents) -> Iterator[str]:
    tables = [file for file in contents.files if isinstance(file, TableFile)]
    for table in tables:
        if len(tables) > 1:
            yield f"{_line(table.path)}:"
        yield from map(_field, table.fields)


def _field(field: Mapping[str, Any]) -> str:
    info = field.get("info")
    known = info if isinstance(info, Mapping) else {}
    texts = [_line(str(known[key])) for key in ("label", "notes") if known.get(key)]
    return f"{_line(str(field['id']))} ({field['type']})" + (f": {'. '.join(texts)}" if texts else "")


def _labelled(label: str, value: str) -> Iterator[str]:
    if value:
        yield f"{label}: {_line(value)}"


def _line(text: str) -> str:
    return " ".join(_clean(text).split())


def _clean(text: str) -> str:
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
