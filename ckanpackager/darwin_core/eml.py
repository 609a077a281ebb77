"""The description of a dataset that a requester sends along: EML, the Ecological Metadata Language."""

import re
from html import escape

from ckanpackager.darwin_core.safe_xml import read_elements
from ckanpackager.errors import BadRequest

_PLACEHOLDER = re.compile(r"\{(package_id|pub_date|date_stamp)\}")
_DECLARED = re.compile(r"""\A(<\?xml\s[^>]*?encoding\s*=\s*)(["'])[^"'>]*\2""")


def fill_eml(text: str, package_id: str, pub_date: str, date_stamp: str) -> bytes:
    """The content of eml.xml: `text` with {package_id}, {pub_date} and {date_stamp} filled in, in UTF-8.

    Any other brace is text.  Raises BadRequest if the outcome is not well-formed XML, or has a document type.
    """
    values = {"package_id": package_id, "pub_date": pub_date, "date_stamp": date_stamp}
    filled = _PLACEHOLDER.sub(lambda found: escape(values[found[1]]), text.lstrip("\ufeff \t\r\n"))
    filled = _DECLARED.sub(r'\1"UTF-8"', filled)
    try:
        read_elements(filled, lambda tag, attributes: None)
    except ValueError as error:
        raise BadRequest(f"eml: not well-formed XML: {error}") from error
    return filled.encode()
