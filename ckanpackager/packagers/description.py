"""What an archive says of itself: the site is asked what its data is, and README.txt and datapackage.json tell it.

The data never depends on it: what the site does not tell is left out, and README.txt says so.
"""

import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime

from ckanpackager import names
from ckanpackager.archives.writer import Archive
from ckanpackager.ckan import actions
from ckanpackager.errors import CkanpackagerError
from ckanpackager.hosts import without_secrets
from ckanpackager.jobs.job import Description
from ckanpackager.metadata import datapackage, readme
from ckanpackager.metadata.contents import Contents
from ckanpackager.metadata.dataset import Dataset, Resource, dataset_from, resource_from, site_of, text
from ckanpackager.packagers.context import PackagingContext

_API = "/api/3/action/"
TRIES = 2  # a site that does not answer these must not keep the data back for long


def is_wanted(context: PackagingContext) -> bool:
    """Whether an archive describes itself at all."""
    return context.archives.include_readme or context.archives.include_datapackage


def now(context: PackagingContext) -> datetime:
    return datetime.fromtimestamp(context.now, UTC)


class About:
    """What the site says of a resource and its dataset; `problem` is why it is not all there is to say."""

    def __init__(self, dataset: Dataset | None = None, resource: Resource | None = None, problem: str = "") -> None:
        self.dataset = dataset
        self.resource = resource
        self.problem = problem

    @property
    def title(self) -> str:
        """The titles of the dataset and of the resource, as far as they are known; nothing if neither is."""
        titles = [each.title for each in (self.dataset, self.resource) if each]
        return ": ".join(dict.fromkeys(titles))


def about_resource(context: PackagingContext, address: str, resource_id: str) -> About:
    """Ask the site that `address` (an API's URL, or that of an uploaded file) belongs to."""
    site = site_of(without_secrets(address))
    if not site or not is_wanted(context):
        return About()
    api = address if "/api/" in address else f"{site}{_API}"
    try:
        shown = actions.show(context.client, api, "resource_show", resource_id, TRIES)
    except CkanpackagerError as error:
        return About(problem=str(error))
    resource = resource_from(shown, None)
    if not (dataset_id := text(shown, "package_id")):
        return About(resource=resource)
    try:
        package = actions.show(context.client, api, "package_show", dataset_id, TRIES)
    except CkanpackagerError as error:
        return About(resource=resource, problem=str(error))
    dataset = dataset_from(package, site)
    return About(dataset, resource_from(shown, dataset))


def summary(contents: Contents) -> Description:
    """What mails and job pages say of the data."""
    dataset, resource = contents.dataset, contents.resource
    return Description(
        title=(resource or dataset).title if resource or dataset else "",  # type: ignore[union-attr]
        dataset_title=dataset.title if dataset and resource else "",
        publisher=dataset.publisher if dataset else "",
        licence=dataset.licence.name if dataset and dataset.licence else "",
        citation=contents.citation,
    )


def write(archive: Archive, contents: Contents, context: PackagingContext, *, machine_readable: bool = True) -> None:
    """Put README.txt and datapackage.json into the archive, as far as they are wanted, under names that are free."""
    described: list[tuple[str, str, Callable[[Contents], bytes]]] = []
    if context.archives.include_readme:
        described.append((readme.STEM, readme.SUFFIX, readme.readme))
    if context.archives.include_datapackage and machine_readable:
        described.append((datapackage.STEM, datapackage.SUFFIX, datapackage.datapackage))
    for stem, suffix, content in described:
        taken = {folded(name) for name in archive.sizes}
        name = names.unused(stem, suffix, taken=lambda name: folded(name) in taken, separator="-")  # noqa: B023 - at once
        with archive.open(name) as entry:
            entry.write(content(contents))


def folded(name: str) -> str:
    """A name as file systems compare it that know no case and accents."""
    return unicodedata.normalize("NFKC", name).casefold()
