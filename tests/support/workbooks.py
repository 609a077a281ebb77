"""Workbooks, and texts that they must keep as they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ckanpackager.archives.zip64 import ZipArchive
from ckanpackager.formats import xlsx

TEXTS = [
    "=SUM(1,2)",
    "+44 20 7946 0000",
    "-",
    "@here",
    "000123",
    "12345678901234567890",
    "1e5",
    "TRUE",
    "2018-12-17",
    " leading",
    "trailing ",
    "\ttab and line\nand return\r\n",
    "\r",
    " ",
    "<b>&amp;</b> \"'",
    "]]>",
    "Seen 🦋, 東京都, “Frühling”",
    "\x7f\x85\u2028",
    "x" * 32_767,
    "_x", "_x_", "x000B_", "_X000B_",
]  # fmt: skip


def write_workbook(path: Path, fields: Sequence[tuple[str, str]], rows: Any, **limits: int) -> list[str]:
    with path.open("w+b") as file:
        return xlsx.write_workbook(ZipArchive(file, level=1, now=0, zip64=False), fields, rows, **limits)
