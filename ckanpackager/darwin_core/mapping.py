"""Which field of a table goes where in an archive: settled once a job, before the first row.

A field whose name is a term goes into that term's column: as it is, else written as terms are ("Event date" is
eventDate).  The core's terms go before those of the additional extensions, theirs in the order of the settings.  A
field that is no term's goes into the core's dynamic term, which holds a JSON object; so does a term that several
fields share.  A field of dwc_extension_fields holds objects, each a row of an extension; what else such a field may
hold goes where its name says.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from ckanpackager.config.settings import DarwinCore
from ckanpackager.darwin_core.extensions import Extension, definition
from ckanpackager.darwin_core.plan import (
    Column,
    FieldCell,
    JsonCell,
    NestedCell,
    NestedSource,
    Plan,
    RecordSource,
    Table,
)
from ckanpackager.errors import ConfigError, PermanentFailure
from ckanpackager.names import unused

_DYNAMIC_PROPERTIES = {"dynamicProperties": "http://rs.tdwg.org/dwc/terms/dynamicProperties"}  # for any kind of row


_SUFFIXES = {",": ".csv", "\t": ".tsv"}
_Draft = tuple[Extension, int | None, Mapping[str, Any]]  # the cells by term, and the field that lists the rows, if any


def compile_plan(names: Sequence[str], settings: DarwinCore, delimiter: str = ",") -> Plan:
    """The plan for records whose fields have these names, in this order, in files with this delimiter, "," or a tab.

    Raises ConfigError if the settings name what is not there, PermanentFailure if there is no id among the fields.
    """
    core, *additional = _definitions(settings)
    configured = {name: _items(name, entry) for name, entry in settings.dwc_extension_fields.items()}
    if settings.dwc_id_field not in names:
        raise PermanentFailure(
            f"dwc_id_field: the resource has no field {settings.dwc_id_field!r}; it has: {', '.join(names) or 'none'}",
            public=f"The resource has no field {settings.dwc_id_field!r}, which a Darwin Core Archive needs.",
        )
    lists = {at: configured[key] for at, name in enumerate(names) if (key := _known(name, configured))}
    flat = _flat(names, [core, *additional], lists, settings)
    drafts: dict[str, list[_Draft]] = {}  # by row type: an archive has one file of each
    for extension, cells in zip(additional, flat[1:], strict=True):
        if cells:
            drafts.setdefault(extension.row_type, []).append((extension, None, cells))
    for at, (extension, items) in lists.items():
        drafts.setdefault(extension.row_type, []).append((extension, at, items))
    tables: dict[str, Table] = {}
    core_draft: list[_Draft] = [(core, None, flat[0])]
    for draft in [core_draft, *drafts.values()]:
        stem = unused(draft[0][0].stem, taken=tables.__contains__)
        tables[stem] = _table(stem, delimiter, settings.dwc_id_field, draft, every=not tables)
    first, *others = tables.values()
    return Plan(names.index(settings.dwc_id_field), first, tuple(others))


def term_name(name: str) -> str:
    """A name of several words as terms are written: in lower camel case, words all in capitals kept."""
    words = [word if word.isupper() else word.capitalize() for word in name.split()]
    return "".join([word if at or word.isupper() else word.lower() for at, word in enumerate(words)])


def _definitions(settings: DarwinCore) -> list[Extension]:
    """The core, with its dynamic term, and the additional extensions."""
    core = _defined("dwc_core_extension", settings.dwc_core_extension or "occurrence")
    terms = _DYNAMIC_PROPERTIES | dict(core.terms)
    _check_terms("dwc_dynamic_term", [settings.dwc_dynamic_term], Extension(core.name, core.row_type, terms))
    core = replace(core, terms=dict(core.terms) | {settings.dwc_dynamic_term: terms[settings.dwc_dynamic_term]})
    return [core, *(_defined("dwc_additional_extensions", named) for named in settings.dwc_additional_extensions)]


def _defined(key: str, named: str) -> Extension:
    try:
        return definition(named)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error


def _items(field: str, entry: Mapping[str, Any]) -> tuple[Extension, dict[str, NestedCell]]:
    """The extension of a field that lists rows, and what its cells are, by term."""
    key = f"dwc_extension_fields.{field}"
    extension = _defined(f"{key}.extension", entry["extension"])
    fields, mappings, formatters = entry["fields"], entry.get("mappings") or {}, entry.get("formatters") or {}
    if not fields:
        raise ConfigError(f"{key}.fields: expected at least one term of {extension.name}")
    _check_terms(f"{key}.fields", fields, extension)
    for part, terms in (("mappings", mappings), ("formatters", formatters)):
        if unknown := [term for term in terms if term not in fields]:
            raise ConfigError(f"{key}.{part}.{unknown[0]}: expected a term that is among the fields")
    items = {}
    for term, default in fields.items():
        before, after = _halves(f"{key}.formatters.{term}", formatters.get(term, "{}"))
        items[term] = NestedCell(mappings.get(term, term), term, default or "", before, after)
    return extension, items


def _check_terms(key: str, terms: Iterable[str], extension: Extension) -> None:
    for term in terms:
        if term not in extension.terms:
            near = difflib.get_close_matches(term, extension.terms, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"{key}: {term!r} is no term of {extension.name}{hint}")


def _halves(key: str, formatter: Any) -> tuple[str, str]:
    parts = formatter.split("{}") if isinstance(formatter, str) else []
    if len(parts) != 2:
        raise ConfigError(f"{key}: expected a text with one {{}} in it, as in image/{{}}")
    return parts[0], parts[1]


def _flat(
    names: Sequence[str], definitions: Sequence[Extension], lists: Mapping[int, Any], settings: DarwinCore
) -> list[dict[str, FieldCell | JsonCell]]:
    """For each definition, the cells that one record fills, by term, in the order of the fields."""
    fed: list[dict[str, list[int]]] = [{} for _ in definitions]
    loose = set()
    for at, name in enumerate(names):
        place = _place(name, definitions)
        if place is None:
            if name == settings.dwc_id_field:
                continue  # it stands in the first column already
            loose.add(at)
            place = 0, settings.dwc_dynamic_term
        fed[place[0]].setdefault(place[1], []).append(at)
    if not fed[0]:
        fed[0][settings.dwc_dynamic_term] = []  # the schema wants a column
    return [
        {
            term: FieldCell(fields[0]) if len(fields) == 1 and fields[0] not in loose else _object(fields, names)
            for term, fields in terms.items()
        }
        for terms in fed
    ]


def _place(name: str, definitions: Sequence[Extension]) -> tuple[int, str] | None:
    """The first definition, by number, that has a term for a field, and that term."""
    for number, extension in enumerate(definitions):
        if term := _known(name, extension.terms):
            return number, term
    return None


def _known(name: str, terms: Mapping[str, Any]) -> str | None:
    return next((candidate for candidate in (name, term_name(name)) if candidate in terms), None)


def _object(fields: Sequence[int], names: Sequence[str]) -> JsonCell:
    """The fields under their names as terms are written; of two that would be the same, the later keeps its own."""
    keys: list[str] = []
    for at in fields:
        key = term_name(names[at])
        keys.append(unused(names[at], taken=keys.__contains__) if key in keys else key)
    return JsonCell(tuple(fields), tuple(keys))


def _table(stem: str, delimiter: str, id_name: str, draft: Sequence[_Draft], every: bool) -> Table:
    """One file of all that has rows of one type."""
    uris: dict[str, str] = {}
    for extension, _, cells in draft:
        uris |= {term: extension.terms[term] for term in cells if term not in uris}
    sources: list[RecordSource | NestedSource] = []
    for _, at, cells in draft:
        in_order = tuple(cells.get(term) for term in uris)
        sources.append(RecordSource(in_order, every) if at is None else NestedSource(at, in_order))
    columns = tuple(Column(term, uri) for term, uri in uris.items())
    name = f"{stem}{_SUFFIXES[delimiter]}"
    return Table(name, delimiter, draft[0][0].row_type, id_name, columns, tuple(sources))
