"""LibreOffice opens our workbooks."""

import csv
import subprocess
from pathlib import Path
from typing import Any

from support.programs import needs
from support.workbooks import TEXTS, write_workbook

from ckanpackager.formats.json_values import Number

AWKWARD = [
    *("\x00", "a\x0bb", "\x01\x1f", "\ufffe\uffff", "\x0b\r\n "),
    *("_x000B_", "_x000B_x000B_", "_x005F_", "__x000b_\x0b", "_x005F_x000B_"),
]


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
