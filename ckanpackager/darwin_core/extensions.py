"""Definitions of cores and extensions: what the rows of a file are, and which terms they may have.

They come with ckanpackager by name, as facts in `terms.txt`, or from any definition in GBIF's format
(http://rs.gbif.org/schema/extension.xsd; those in use are at https://rs.gbif.org).
"""

import re
from collections.abc import Mapping
from configparser import ConfigParser
from importlib import resources
from pathlib import Path

from msgspec import Struct

from ckanpackager.darwin_core.safe_xml import read_elements
from ckanpackager.errors import ConfigError

SHIPPED = (
    "occurrence",
    "taxon",
    "event",
    "multimedia",
    "audiovisual",
    "measurement_or_fact",
    "identification_history",
    "resource_relationship",
)
"""The names of the definitions that come with ckanpackager: the first three are cores."""

_WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Extension(Struct, frozen=True):
    """A core or an extension: its name, the URI that says what a row is, and the URI of each term by its name."""

    name: str
    row_type: str
    terms: Mapping[str, str]

    @property
    def stem(self) -> str:
        """Its name as that of a file without suffix: MeasurementOrFact is measurement_or_fact."""
        return re.sub("[^a-z0-9]+", "_", _WORD_BEGINS.sub("_", self.name).lower()).strip("_") or "rows"


def definition(named: str) -> Extension:
    """The definition that a setting names: one of SHIPPED, else the path of an XML file.  Raises ConfigError."""
    return shipped(named) if named in SHIPPED else read(Path(named))


def shipped(name: str) -> Extension:
    """The definition of that name that comes with ckanpackager."""
    facts = ConfigParser(interpolation=None)
    facts.optionxform = str  # type: ignore[assignment, method-assign] # keeps capitals, as the standard library's manual has it
    facts.read_string(resources.files(__package__).joinpath("terms.txt").read_text("utf-8"))
    namespaces, section = facts["namespaces"], facts[name]

    def uri(qualified: str) -> str:
        prefix, _, local = qualified.partition(":")
        return namespaces[prefix] + local

    terms = {qualified.partition(":")[2]: uri(qualified) for qualified in section["terms"].split()}
    return Extension(section["name"], uri(section["row_type"]), terms)


def read(path: Path) -> Extension:
    """The definition in a file of GBIF's format.  Raises ConfigError with the file and what is wrong with it."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        known = ", ".join(SHIPPED)
        raise ConfigError(f"{path}: {error.strerror}; expected an extension definition, or one of: {known}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not an extension definition: {error}") from error


def parse(content: bytes) -> Extension:
    """The definition that the XML tells.  Where two terms have one name, it means the first.  Raises ValueError."""
    root: dict[str, str] = {}
    terms: dict[str, str] = {}

    def element(tag: str, attributes: Mapping[str, str]) -> None:
        kind = tag.rpartition("}")[2]
        if not root:
            if kind != "extension":
                raise ValueError(f"the outermost element is <{kind}>, not <extension>")
            root.update(name=_needed(kind, attributes, "name"), row_type=_needed(kind, attributes, "rowType"))
        elif kind == "property":
            terms.setdefault(_needed(kind, attributes, "name"), _needed(kind, attributes, "qualName"))

    read_elements(content, element)
    if not terms:
        raise ValueError("it has no <property>, so no terms")
    return Extension(root["name"], root["row_type"], terms)


def _needed(tag: str, attributes: Mapping[str, str], name: str) -> str:
    if value := attributes.get(name, "").strip():
        return value
    raise ValueError(f"<{tag}> has no {name}")
