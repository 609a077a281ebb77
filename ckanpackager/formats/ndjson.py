"""Tables as JSON objects, one a line (https://github.com/ndjson/ndjson-spec), as the server sent them."""

from collections.abc import Sequence

import msgspec

from ckanpackager.formats.registry import Entry, Format, Table


def write(format: Format, entry: Entry, table: Table) -> list[str]:
    """Write the records, one a line; they are raw JSON."""
    for page in table.pages:
        if page.records:
            entry.write(json_lines(page.records))
    return []


def json_lines(objects: Sequence[msgspec.Raw]) -> bytes:
    """Raw JSON objects as lines; line ends within an object, which it may have between its members, are removed."""
    lines = b"\n".join(map(bytes, objects)) + b"\n"
    if lines.count(b"\n") == len(objects):
        return lines
    return b"".join([msgspec.json.format(one, indent=-1) + b"\n" for one in objects])
