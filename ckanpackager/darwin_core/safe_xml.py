"""XML that others wrote, read without its dangers: no document type, so no entities, and nothing is fetched."""

from collections.abc import Callable, Mapping
from typing import Any
from xml.parsers import expat


def read_elements(content: str | bytes, start: Callable[[str, Mapping[str, str]], Any]) -> None:
    """Call `start` with the name and the attributes of each element; of a namespace, `URI}` stands before the name.

    Raises ValueError, with the line, if the content is not well-formed, has a document type, or `start` does so.
    """
    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = start
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(f"line {error.lineno}: {expat.ErrorString(error.code)}") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"a character that is none: {content[error.start]!r}") from error
    except ValueError as error:
        raise ValueError(f"line {parser.CurrentLineNumber}: {error}") from error


def _refuse(*_: object) -> None:
    raise ValueError("a document type (<!DOCTYPE …>) is not accepted; remove it")
