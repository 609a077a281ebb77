"""The small template language of subjects and mails: `{name}` stands for a value, `{{` and `}}` for braces.  Pure.

It looks like `str.format` but has no attributes, indexes, conversions or formats: a template can use only the values
that it is given, and can be checked in full when the configuration is read.
"""

import re
from collections.abc import Collection, Mapping

from ckanpackager.errors import did_you_mean

PLACEHOLDERS = (
    "resource_id",
    "zip_file_name",
    "ckan_host",
    "doi",
    "doi_body",
    "doi_body_html",
    "download_url",
    "rows",
    "size",
    "expires",
    "job",
    "status_url",
    "error",
    "notes",
    "title",
    "dataset_title",
    "publisher",
    "format",
    "query",
    "licence",
    "citation",
    "sha256",
    "contact",
    "portal_name",
)
"""What the templates of a mail may use."""

IN_SENDER = ("resource_id", "zip_file_name", "ckan_host", "doi")
"""What the sender may use: what the original's could, as far as it is short."""

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}\n]*)\}|[{}]")


def check(template: str, names: Collection[str]) -> list[str]:
    """The faults of a template whose placeholders may be `names`, each in words for its author; none: `[]`."""
    return [fault for token in _TOKEN.finditer(template) if (fault := _fault(token, names))]


def placeholders(template: str) -> set[str]:
    """The names of the placeholders in a template."""
    return {token["name"] for token in _TOKEN.finditer(template) if token["name"] is not None}


def render(template: str, values: Mapping[str, str], *, html: bool = False) -> str:
    """The template with its placeholders filled.

    A line all of whose placeholders are empty is left out, and the blank line after it where that would make two of
    them, or one at the very start.  With `html`, values are escaped, save those whose name ends in `_html`: they are
    HTML already.  The template must be one in which `check` finds no fault; a name without a value is a KeyError.
    """

    def fill(token: re.Match[str]) -> str:
        name = token["name"]
        if name is None:
            return token[0][0]
        return _escaped(values[name]) if html and not name.endswith("_html") else values[name]

    kept: list[str] = []
    gap = False
    for line in template.split("\n"):
        names = placeholders(line)
        if names and not any(values[name].strip() for name in names):
            gap = True
        elif line.strip():
            kept.append(_TOKEN.sub(fill, line))
            gap = False
        elif not gap or (kept and kept[-1].strip()):
            kept.append(line)
    return "\n".join(kept)


def _escaped(text: str) -> str:
    from html import escape  # not for the receiver, which only checks templates and must start fast

    return escape(text)


def _fault(token: re.Match[str], names: Collection[str]) -> str | None:
    name = token["name"]
    if name in names or token[0] in ("{{", "}}"):
        return None
    if name is None:
        return f"lone {token[0]}; a brace that is no placeholder's is written twice: {token[0] * 2}"
    if not (plain := re.match(r"\w+", name)):
        return f"{token[0]} is no placeholder; braces that are none are written twice: {{{token[0]}}}"
    if plain[0] == name or plain[0] not in names:
        near = did_you_mean(name, names)
        return f"unknown placeholder {token[0]}" + (f"; did you mean {{{near}}}?" if near else "")
    return f"{token[0]} asks for more than a value (attribute, index, conversion or format); write {{{plain[0]}}}"
