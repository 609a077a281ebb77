"""eml.xml of a Darwin Core Archive, made from the dataset's metadata.  Pure.

The Ecological Metadata Language 2.2.0 (https://eml.ecoinformatics.org), as GBIF's profile 1.3 uses it
(https://rs.gbif.org/schema/eml-gbif-profile/1.3/): its elements stand in the order of the schema.
"""

import re
from collections.abc import Iterator
from html import escape

from ckanpackager.metadata.contents import Contents
from ckanpackager.metadata.dataset import Dataset, Person

_EML = "https://eml.ecoinformatics.org/eml-2.2.0"
_PROFILE = "https://rs.gbif.org/schema/eml-gbif-profile/1.3/eml.xsd"
_ROOT = (
    f'<eml:eml xmlns:eml="{_EML}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    f'xsi:schemaLocation="{_EML} {_PROFILE}" packageId="%s" system="http://gbif.org" scope="system">'
)
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").match


def eml_xml(dataset: Dataset, contents: Contents, package_id: str) -> bytes:
    """The content of eml.xml; `package_id` identifies this version of it."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', _ROOT % escape(package_id), "<dataset>"]
    lines += _dataset(dataset, contents)
    lines += ["</dataset>", "<additionalMetadata><metadata><gbif>"]
    lines.append(_element("dateStamp", f"{contents.fetched:%Y-%m-%dT%H:%M:%SZ}"))
    lines.append(_element("hierarchyLevel", "dataset"))
    lines.append(_element("citation", contents.citation))
    lines += ["</gbif></metadata></additionalMetadata>", "</eml:eml>"]
    return "\n".join(filter(None, lines)).encode() + b"\n"


def _dataset(dataset: Dataset, contents: Contents) -> Iterator[str]:
    doi = contents.doi or dataset.doi
    yield _element("alternateIdentifier", f"https://doi.org/{doi}" if doi else dataset.page)
    yield _element("title", contents.title)
    yield _party("creator", dataset, "author", "maintainer")
    yield _party("metadataProvider", dataset, "maintainer", "author")
    yield _element("pubDate", next((time[:10] for time in (dataset.modified, dataset.created) if _DATE(time)), ""))
    yield from _abstract(dataset, contents)
    if dataset.keywords:
        yield "<keywordSet>"
        yield from (_element("keyword", keyword) for keyword in dataset.keywords)
        yield _element("keywordThesaurus", "n/a") + "</keywordSet>"
    yield from _licence(dataset)
    if page := (contents.resource.page if contents.resource else "") or dataset.page:
        yield '<distribution scope="document"><online>'
        yield f'<url function="information">{_text(page)}</url></online></distribution>'
    yield _party("contact", dataset, "maintainer", "author")


def _party(element: str, dataset: Dataset, *roles: str) -> str:
    """The first person there is, else the publisher, else the dataset's own title: the schema wants one."""
    person = next((person for role in roles if (person := dataset.person(role))), None)
    if person:
        return f"<{element}>{_person(person)}</{element}>"
    return f"<{element}>{_element('organizationName', dataset.publisher or dataset.title)}</{element}>"


def _person(person: Person) -> str:
    name = f"<individualName>{_element('surName', person.name)}</individualName>"
    return name + _element("electronicMailAddress", person.email)


def _abstract(dataset: Dataset, contents: Contents) -> Iterator[str]:
    texts = [each.description for each in (dataset, contents.resource) if each]
    paragraphs = [_element("para", one.strip()) for text in texts for one in re.split(r"\n\s*\n", text) if one.strip()]
    if paragraphs:
        yield f"<abstract>{''.join(paragraphs)}</abstract>"


def _licence(dataset: Dataset) -> Iterator[str]:
    licence = dataset.licence
    if not licence:
        return
    name = _text(licence.name)
    link = f'<ulink url="{_text(licence.url)}"><citetitle>{name}</citetitle></ulink>' if licence.url else name
    yield f"<intellectualRights><para>This work is licensed under {link}.</para></intellectualRights>"
    known = (("licenseName", licence.name), ("url", licence.url), ("identifier", licence.id))
    yield f"<licensed>{''.join(_element(name, value) for name, value in known)}</licensed>"


def _element(name: str, text: str) -> str:
    return f"<{name}>{_text(text)}</{name}>" if text else ""


def _text(text: str) -> str:
    return escape(_NO_XML.sub("", text))
