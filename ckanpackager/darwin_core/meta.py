"""meta.xml: what tells a reader which file of the archive holds what.

The rules are those of the text guide's schema, http://rs.tdwg.org/dwc/text/tdwg_dwc_text.xsd.
"""

from collections.abc import Container
from html import escape

from ckanpackager.darwin_core.plan import Plan, Table

_FORMAT = (
    'encoding="UTF-8" linesTerminatedBy="\\n" fieldsTerminatedBy="%s" fieldsEnclosedBy="&quot;" ignoreHeaderLines="1"'
)
_DELIMITERS = {",": ",", "\t": "\\t"}  # as the text guide writes them


def meta_xml(plan: Plan, files_with_rows: Container[str], eml: bool) -> bytes:
    """The content of meta.xml: the core, and those extensions whose file is among `files_with_rows`.

    `eml` says that there is an eml.xml.
    """
    metadata = ' metadata="eml.xml"' if eml else ""
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<archive xmlns="http://rs.tdwg.org/dwc/text/"{metadata}>',
            *_file(plan.core, "core", "id"),
            *(
                line
                for file in plan.extensions
                if file.name in files_with_rows
                for line in _file(file, "extension", "coreid")
            ),
            "</archive>\n",
        ]
    ).encode()


def _file(file: Table, element: str, id: str) -> list[str]:
    return [
        f'  <{element} {_FORMAT % _DELIMITERS[file.delimiter]} rowType="{escape(file.row_type)}">',
        f"    <files><location>{escape(file.name)}</location></files>",
        f'    <{id} index="0"/>',
        *(f'    <field index="{at}" term="{escape(column.uri)}"/>' for at, column in enumerate(file.columns, 1)),
        f"  </{element}>",
    ]
