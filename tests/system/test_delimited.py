"""CSV and TSV from every kind of server are CKAN's own download to the byte."""

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ckanpackager.archives import writer
from ckanpackager.archives.bounds import Bounds
from ckanpackager.config.settings import Archives, Ckan, DarwinCore, Settings
from ckanpackager.demo import sample
from ckanpackager.demo.ckan_api import CkanApi, Resource
from ckanpackager.hosts import HostPolicy
from ckanpackager.http_client import Client
from ckanpackager.jobs.request import PackageDatastore
from ckanpackager.packagers import datastore
from ckanpackager.packagers.context import PackagingContext

SAMPLE = Resource(sample.FIELDS, list(sample.rows(500)))


HERE = HostPolicy(ckan_hosts=["127.0.0.1"])


def packaged(api: CkanApi, directory: Path, **parameters: Any) -> bytes:
    """The file in the archive that package_datastore makes."""
    request = PackageDatastore(api_url=api.api_url, resource_id="r", email="ann@example.org", **parameters)
    context = PackagingContext(
        client=Client(key=None, timeout=20, hosts=HERE),
        ckan=Ckan(),
        archives=Archives(include_readme=False, include_datapackage=False),
        darwin_core=DarwinCore(),
        now=0,
        tell=lambda rows, expected: None,
        bounds=Bounds(Settings(), directory),
    )
    with writer.create(directory / "a.zip", Archives(), 0) as writing:
        datastore.package(request, writing, context)
    with zipfile.ZipFile(directory / "a.zip") as zip:
        (name,) = zip.namelist()
        assert name == f"resource.{request.format}"
        return zip.read(name)


def dump(api: CkanApi) -> bytes:
    """What the site's own download sends."""
    with Client(key=None, timeout=20, hosts=HERE).download(f"{api.url}/datastore/dump/r") as (_, chunks):
        return b"".join(chunks)


def without_milliseconds(text: bytes) -> bytes:
    return re.sub(rb"(T\d\d:\d\d:\d\d)\.\d{3}", rb"\1", text)


@pytest.mark.parametrize("version", [(2, 7), (2, 8), (2, 12)])
@pytest.mark.parametrize("backend", [None, "solr", "versioned-datastore"])
def test_the_csv_of_every_server_is_ckans_own_download_to_the_byte(version, backend, tmp_path):
    with CkanApi({"r": Resource(SAMPLE.fields, SAMPLE.rows, backend=backend)}, version=version) as api:
        header, _, body = dump(api).partition(b"\r\n")  # only its header has such an end
        assert packaged(api, tmp_path) == header + b"\n" + body


@pytest.mark.parametrize("format", ["csv", "tsv"])
@pytest.mark.parametrize("fields", [None, ["Associated Media", "Image Checked"], ["Occurrence Remarks"]])
def test_rows_that_we_write_equal_those_that_ckan_writes(format, fields, tmp_path):
    texts = []
    for version in [(2, 7), (2, 12)]:
        with CkanApi({"r": SAMPLE}, version=version) as api:
            texts.append(packaged(api, tmp_path, format=format, fields=fields))
    assert without_milliseconds(texts[0]) == without_milliseconds(texts[1])
    assert texts[0].count(b"\n") >= 501
