"""LibreOffice opens our workbooks."""

import csv
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.programs import needs

from ckanpackager.archives.zip64 import ZipArchive
from ckanpackager.formats import xlsx
from ckanpackager.formats.json_values import Number

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

AWKWARD = [
    *("\x00", "a\x0bb", "\x01\x1f", "\ufffe\uffff", "\x0b\r\n "),
    *("_x000B_", "_x000B_x000B_", "_x005F_", "__x000b_\x0b", "_x005F_x000B_"),
]


def write_workbook(path: Path, fields: Sequence[tuple[str, str]], rows: Any, **limits: int) -> list[str]:
    with path.open("w+b") as file:
        return xlsx.write_workbook(ZipArchive(file, level=1, now=0, zip64=False), fields, rows, **limits)


def test_libreoffice_opens_it(tmp_path: Path) -> None:
    soffice = needs("soffice", debian="libreoffice-calc-nogui")
    fields = [("text", "text"), ("number", "numeric"), ("moment", "timestamp"), ("flag", "bool"), ("day", "date")]
    texts = [*TEXTS, *AWKWARD, "_x5f_ _x0_"]
    rows: list[list[Any]] = [[text, None, None, None, None] for text in texts]
    rows.append(["=1+1", Number("70.43"), "2018-12-17T11:23:06.250", True, "1900-03-01"])
    rows.append(["'", Number("12345678901234567.5"), "1850-06-01T00:00:00.000", False, "1850-06-01"])
    write_workbook(tmp_path / "table.xlsx", fields, rows, rows_per_sheet=len(rows) - 2)
    every_sheet = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    subprocess.run(
        [soffice, profile, "--headless", "--convert-to", every_sheet, "--outdir", tmp_path, "table.xlsx"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=110,
    )
    header = [name for name, _ in fields]
    shown = [text.replace("\r\n", "\n") for text in texts]  # a line break has one form there
    assert read_csv(tmp_path / "table-Data.csv") == [header, *([text, "", "", "", ""] for text in shown)]
    assert read_csv(tmp_path / "table-Data 2.csv") == [
        header,
        ["=1+1", "70.43", "2018-12-17 11:23:06.250", "TRUE", "1900-03-01"],
        ["'", "12345678901234567.5", "1850-06-01T00:00:00.000", "FALSE", "1850-06-01"],
    ]


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))
