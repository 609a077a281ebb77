"""package_url: the names that files get."""

import pytest
from support.workspace import Workspace, small_ckan

from ckanpackager import names
from ckanpackager.demo.ckan_api import File
from ckanpackager.packagers.url import name_of_download


@pytest.mark.parametrize(
    ("disposition", "url", "name"),
    [
        (None, "http://x/a/specimens.csv", "specimens.csv"),
        (None, "http://x/a/specimens.csv?token=secret", "specimens.csv"),
        (None, "http://x/a/b%20c.csv", "b c.csv"),
        (None, "http://x/a/%2e%2e%2fpasswd", "passwd"),
        (None, "http://x/", "resource"),
        ("attachment", "http://x/a.csv", "a.csv"),
        ('attachment; filename="given.csv"', "http://x/a.csv", "given.csv"),
        ("attachment; filename*=UTF-8''p%C3%A1jaros.csv", "http://x/a.csv", "pájaros.csv"),
        ('attachment; filename="../../etc/passwd"', "http://x/a.csv", "passwd"),
        ('attachment; filename="C:\\\\x\\\\y.txt"', "http://x/a.csv", "y.txt"),
        ('attachment; filename=".."', "http://x/a.csv", "a.csv"),
        ('attachment; filename=""', "http://x/a.csv", "a.csv"),
        ("attachment; filename*=no-such-charset''b.csv", "http://x/a.csv", "b.csv"),
        ("attachment; filename*=idna''b.csv", "http://x/a.csv", "a.csv"),
        ("attachment; filename*=punycode''b.csv", "http://x/a.csv", "a.csv"),
        ("attachment; filename*=undefined''b.csv", "http://x/a.csv", "a.csv"),
        ("attachment; filename*=a\0b''b.csv", "http://x/a.csv", "a.csv"),
        ("attachment; filename*=utf-7''%2B2AA-.csv", "http://x/a.csv", "_.csv"),
        ("attachment; filename*=utf-8''%ED%A0%80.csv", "http://x/a.csv", "\ufffd\ufffd\ufffd.csv"),
        (f"attachment; filename*{'9' * 5000}*=b.csv", "http://x/a.csv", "a.csv"),
        ("attachment; filename*0*=utf-8''b; filename*1=.csv", "http://x/a.csv", "b.csv"),
        (";;;=;filename", "http://x/a.csv", "a.csv"),
    ],
)
def test_a_file_has_the_name_that_its_server_gives_it_made_harmless(
    disposition: str | None, url: str, name: str
) -> None:
    headers = {"Content-Disposition": disposition} if disposition else {}
    assert name_of_download(headers, url) == name


def test_a_long_name_is_cut_and_keeps_its_extension() -> None:
    name = names.file_name("ü" * 300 + ".csv")
    assert len(name.encode()) <= 200
    assert name.endswith(".csv")


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "a:b", 'a"b', "a\u202eb"])
def test_no_character_that_deceives_or_breaks_is_left(name: str) -> None:
    assert names.file_name(name) == "a_b"


def test_the_bytes_of_a_file_are_not_changed(workspace: Workspace) -> None:
    import zipfile

    content = bytes(range(256)) * 1000
    with small_ckan(files={"x.bin": File(content)}) as api:
        workspace.queue(api, "package_url", resource_url=f"{api.url}/files/x.bin", api_url=None, limit=None)
        assert workspace.work().served == 1
    with zipfile.ZipFile(workspace.store.directory / workspace.archives[0]) as archive:
        assert archive.namelist() == ["x.bin"]
        assert archive.read("x.bin") == content
