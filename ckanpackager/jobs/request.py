"""What the tasks are: each a request with its parameters.  Pure: no files, no clock, no network."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from ckanpackager.formats.registry import FORMATS

Queue = Literal["fast", "slow"]
QUEUES: tuple[Queue, ...] = ("fast", "slow")
if TYPE_CHECKING:
    Format = str
else:
    Format = Literal[tuple(FORMATS)]
Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # as far as a database counts


class _Request(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="task"):
    """What every task takes."""

    email: str
    key: str | None = None

    url_parameter: ClassVar[str]

    @property
    def task(self) -> str:
        return str(self.__struct_config__.tag)

    @property
    def host(self) -> str:
        """Host, and port where one is named, of the site that the data comes from."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def url(self) -> str:
        """Where the data comes from."""
        url: str = getattr(self, self.url_parameter)
        return url

    def queue(self, slow_request: int) -> Queue:
        """The queue to wait in; a request for more than `slow_request` rows is slow."""
        return "fast"


class DatastoreRequest(_Request, frozen=True, kw_only=True, omit_defaults=True):
    """Rows of the datastore; the parameters are those of CKAN's `datastore_search`."""

    resource_id: str
    api_url: str
    filters: dict[str, Any] | list[dict[str, Any]] | None = None
    q: str | dict[str, Any] | None = None
    plain: bool | None = None
    language: str | None = None
    distinct: bool | None = None
    fields: list[str] | None = None
    sort: str | list[str] | None = None
    offset: Natural = 0
    limit: Natural = 0
    doi: str | None = None

    url_parameter: ClassVar[str] = "api_url"

    def queue(self, slow_request: int) -> Queue:
        return "fast" if 0 < self.limit <= slow_request else "slow"


class PackageDatastore(DatastoreRequest, frozen=True, kw_only=True, omit_defaults=True, tag="package_datastore"):
    """Rows of the datastore, as a table."""

    format: Format = "csv"
    bom: bool | None = None


class PackageDwcArchive(DatastoreRequest, frozen=True, kw_only=True, omit_defaults=True, tag="package_dwc_archive"):
    """Rows of the datastore, as a Darwin Core Archive."""

    format: str | None = None  # tsv; any other, which portals send along, means csv
    eml: str | None = None
    for_gbif: bool = False


class PackageUrl(_Request, frozen=True, kw_only=True, omit_defaults=True, tag="package_url"):
    """A file, as it is."""

    resource_id: str
    resource_url: str
    api_url: str | None = None  # whose host gets the key; without it no host does, but for ckan_hosts

    url_parameter: ClassVar[str] = "resource_url"


class PackageDataset(_Request, frozen=True, kw_only=True, omit_defaults=True, tag="package_dataset"):
    """All resources of a dataset."""

    api_url: str
    dataset_id: str
    format: Format = "csv"
    bom: bool | None = None

    url_parameter: ClassVar[str] = "api_url"

    @property
    def resource_id(self) -> str:
        """What mails and statistics name."""
        return self.dataset_id

    def queue(self, slow_request: int) -> Queue:
        return "slow"


Request = PackageDatastore | PackageUrl | PackageDwcArchive | PackageDataset
TASKS: dict[str, type[Request]] = {
    str(kind.__struct_config__.tag): kind for kind in (PackageDatastore, PackageUrl, PackageDwcArchive, PackageDataset)
}


def cache_key(request: Request) -> str:
    """128 bits, as hex, that are equal for requests with equal answers: all parameters count but the e-mail address."""
    return _key({name: value for name, value in msgspec.to_builtins(request).items() if name != "email"})


def named_key(package: str) -> str:
    """The same for a named package, whose archive no request gets: its rows may be private."""
    return _key({"package": package})


def _key(values: dict[str, Any]) -> str:
    import hashlib  # here, since most requests to the receiver need no key

    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:32]
