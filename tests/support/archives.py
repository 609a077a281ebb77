"""What tests look for in archives, mails and descriptions."""

import io
import json
import re
from typing import Any

from openpyxl import load_workbook
from support.workspace import Workspace

from ckanpackager.demo.ckan_api import CkanApi, Handler

TYPES = {"string", "number", "integer", "boolean", "object", "array", "date", "time", "datetime", "any"}


def read_xlsx(content: bytes) -> list[list[Any]]:
    book = load_workbook(io.BytesIO(content), read_only=True)
    rows = [[cell.value for cell in row] for row in book["Data"].iter_rows()]
    return [row + [None] * (len(rows[0]) - len(row)) for row in rows]  # which ends with a row's last value


def body(workspace: Workspace, kind: str) -> str:
    part = workspace.mails[-1].get_body((kind,))
    assert part
    return str(part.get_content())


def tell_no_info(api: CkanApi) -> CkanApi:
    """Make it a server whose `datastore_search` keeps the data dictionary to itself."""

    def fault(handler: Handler, action: str, params: dict[str, Any], nth: int) -> bool:
        if action != "datastore_search":
            return False
        result = json.loads(api.site.act(action, params, None))
        for field in result["fields"]:
            field.pop("info", None)
        handler.reply(200, json.dumps({"success": True, "result": result}))
        return True

    api.fault = fault
    return api


def check_package(package: dict[str, Any], files: set[str]) -> None:
    """That a description is valid, and describes these files."""
    assert re.fullmatch("[a-z0-9._/-]+", package["name"])
    assert package["profile"] == "data-package"
    assert package["resources"], "the specification wants one"
    names = [resource["name"] for resource in package["resources"]]
    assert len(set(names)) == len(names)
    for licence in package.get("licenses", []):
        assert "name" in licence or "path" in licence
        assert re.fullmatch("[A-Za-z0-9._-]+", licence.get("name", "x"))
    for url in [source["path"] for source in package["sources"]] + [package.get("homepage", "https://x")]:
        assert re.match("https?://[^ ]+$", url)
    for resource in package["resources"]:
        check_resource(resource)
    assert {resource["path"] for resource in package["resources"]} == files


def check_resource(resource: dict[str, Any]) -> None:
    assert re.fullmatch("[a-z0-9._/-]+", resource["name"])
    assert not re.match(r"[./~$]|.*\.\.[/\\]", resource["path"])
    if resource["profile"] != "tabular-data-resource":
        return
    names = [field["name"] for field in resource["schema"]["fields"]]
    assert names and len(set(names)) == len(names)
    assert {field["type"] for field in resource["schema"]["fields"]} <= TYPES
    assert resource["encoding"] == "utf-8"
