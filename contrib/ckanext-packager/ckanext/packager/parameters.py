"""What is sent to the packager for a resource or a dataset.  Pure: no CKAN, no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

DARWIN_CORE = "dwca"  # the form's name for a Darwin Core Archive, which to the packager is a task and no format


class Portal(NamedTuple):
    """This CKAN, as the packager reaches it.

    Attributes:
        site_url: CKAN's own address, which URLs of uploaded files begin with.
        ckan_url: the address that the packager uses; often the same.
    """

    site_url: str
    ckan_url: str

    @property
    def api_url(self) -> str:
        return self.ckan_url.rstrip("/") + "/api/3/action/datastore_search"

    def reachable(self, url: str) -> str:
        """The URL of a file, with CKAN's address as the packager knows it."""
        own = self.site_url.rstrip("/") + "/"
        return self.ckan_url.rstrip("/") + "/" + url[len(own) :] if url.startswith(own) else url


class Call(NamedTuple):
    """A request to the packager."""

    path: str
    parameters: dict[str, Any]


def downloadable(resource: Mapping[str, Any]) -> bool:
    """Whether a resource has rows or a file, so that the packager has something to pack."""
    if resource.get("datastore_active"):
        return True
    url = str(resource.get("url") or "")
    return url.startswith(("http://", "https://")) and resource.get("resource_type") not in (
        "api",
        "listing",
        "service",
    )


def for_resource(
    portal: Portal,
    resource: Mapping[str, Any],
    email: str,
    *,
    query: Mapping[str, Any],
    file_format: str = "",
    doi: str = "",
    key: str | None = None,
) -> Call:
    """Rows of the datastore where there are any, else the file.

    Args:
        query: which rows, in the parameters of `datastore_search`.
        key: a token, only for what the public cannot read.
    """
    common = {"resource_id": resource["id"], "email": email, "api_url": portal.api_url}
    if key:
        common["key"] = key
    if not resource.get("datastore_active"):
        return Call("/package_url", {**common, "resource_url": portal.reachable(str(resource["url"]))})
    parameters = {**common, **query}
    if doi:
        parameters["doi"] = doi
    if file_format == DARWIN_CORE:
        return Call("/package_dwc_archive", parameters)
    if file_format:
        parameters["format"] = file_format
    return Call("/package_datastore", parameters)


def for_dataset(portal: Portal, dataset_id: str, email: str, *, file_format: str = "", key: str | None = None) -> Call:
    """Every resource of a dataset, tables in that format."""
    parameters = {"dataset_id": dataset_id, "email": email, "api_url": portal.api_url}
    if file_format:
        parameters["format"] = file_format
    if key:
        parameters["key"] = key
    return Call("/package_dataset", parameters)


def offered_formats(allowed: list[str], status: Mapping[str, Any], *, dataset: bool = False) -> list[str]:
    """The formats that the administrator allows and the packager can write.

    A packager that does not say what it offers (before 2.0) is trusted with all that is allowed.
    """
    formats, tasks = status.get("formats"), status.get("tasks")
    offered = []
    for name in allowed:
        if name == DARWIN_CORE:
            known = not dataset and (not isinstance(tasks, list) or "package_dwc_archive" in tasks)
        else:
            known = not isinstance(formats, list) or name in formats
        if known:
            offered.append(name)
    return offered
