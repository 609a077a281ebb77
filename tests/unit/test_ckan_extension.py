"""contrib/ckanext-packager: what needs no CKAN."""

import gettext
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.ckan_toolkit import EXTENSION, stub_ckan

PACKAGE = EXTENSION / "ckanext" / "packager"
LANGUAGES = ("en", "de", "fr", "es")


@pytest.fixture(autouse=True)
def extension() -> Iterator[None]:
    with stub_ckan():
        yield


def module(name: str) -> Any:
    import importlib

    return importlib.import_module(f"ckanext.packager.{name}")


class TestSelection:
    """What a person looks at, from the address of the page."""

    def of(self, view: dict[str, Any] | None = None, **arguments: str) -> Any:
        return module("selection").from_view(arguments, view)

    @pytest.mark.parametrize(
        ("filters", "query"),
        [
            ("Country:Kenya", {"Country": ["Kenya"]}),
            ("Country:Kenya|Country:Japan|Year:1901", {"Country": ["Kenya", "Japan"], "Year": ["1901"]}),
            ("Country:Kenya|Country:Kenya", {"Country": ["Kenya"]}),
            ("Time:12:30", {"Time": ["12:30"]}),
            ("A%3AB:1%7C2", {"A:B": ["1|2"]}),
            ("Note:", {"Note": [""]}),
            ('{"Country": "Kenya", "Year": [1901]}', {"Country": ["Kenya"], "Year": [1901]}),
        ],
    )
    def test_filters_are_read_as_ckan_and_recline_write_them(self, filters: str, query: dict[str, Any]) -> None:
        assert self.of(filters=filters).query() == {"filters": query}

    @pytest.mark.parametrize("filters", ["", "nonsense", "|", ":", "{", '{"a', "[1]"])
    def test_what_is_no_filter_selects_nothing(self, filters: str) -> None:
        assert self.of(filters=filters, columns=filters).query() == {}

    def test_reclines_search_is_plain(self) -> None:
        assert self.of(q=" aloe ").query() == {"q": "aloe"}

    def test_the_boxes_of_datatables_search_for_beginnings(self) -> None:
        assert self.of(search="Jap an").query() == {"q": "Jap_an:*", "plain": False, "language": "simple"}
        columns = self.of(columns='{"Country": "Ken", "Name": " "}', search="passed over")
        assert columns.query() == {"q": {"Country": "Ken:*"}, "plain": False, "language": "simple"}

    def test_a_views_own_filters_hold_beside_those_of_the_address(self) -> None:
        view = {"view_type": "datatables_view", "filters": {"Country": ["Kenya"], "Year": ["1901"]}}
        selection = self.of(view, filters="Country:Japan|Name:Aloe", q="which this view does not read")
        assert selection.query() == {"filters": {"Country": ["Japan", "Kenya"], "Year": ["1901"], "Name": ["Aloe"]}}

    def test_each_condition_can_be_removed(self) -> None:
        selection = self.of(filters="A:1|B:2", columns='{"C": "x", "D": "y"}')
        assert [criterion.field for criterion in selection.criteria()] == ["A", "B", "C", "D"]
        for number in range(4):
            left = [criterion.field for criterion in selection.without(number).criteria()]
            assert left == [field for field in "ABCD" if field != "ABCD"[number]]
        assert selection.without(4) == selection
        assert self.of(q="x").without(0).query() == {}

    def test_a_form_brings_it_back_as_it_was(self) -> None:
        read = module("selection").from_json
        for arguments in ({"filters": "Ä:ß|b:2", "q": "“x”"}, {"columns": '{"C": "x"}'}, {"search": "y"}, {}):
            selection = self.of(**arguments)
            assert read(selection.to_json()) == selection
        assert read("").query() == {}
        for broken in ("[1]", "nonsense", '{"filters": []}', '{"filters": "x"}'):
            if broken != '{"filters": []}':
                with pytest.raises(ValueError):
                    read(broken)


class TestParameters:
    def test_without_a_word_of_the_packager_all_allowed_formats_are_offered(self) -> None:
        offered = module("parameters").offered_formats
        assert offered(["csv", "parquet", "dwca"], {}) == ["csv", "parquet", "dwca"]
        assert offered(["csv", "parquet", "dwca"], {}, dataset=True) == ["csv", "parquet"]

    def test_a_format_must_be_allowed_and_known(self) -> None:
        offered = module("parameters").offered_formats
        status = {"formats": ["csv", "tsv"], "tasks": ["package_datastore"]}
        assert offered(["xlsx", "csv", "dwca"], status) == ["csv"]
        assert offered(["dwca"], {"formats": [], "tasks": ["package_dwc_archive"]}) == ["dwca"]

    def test_urls_of_this_ckan_are_given_as_the_packager_reaches_it(self) -> None:
        portal = module("parameters").Portal("https://data.example.org/", "http://inside:5000")
        assert portal.reachable("https://data.example.org/a/b.csv") == "http://inside:5000/a/b.csv"
        assert portal.reachable("https://data.example.org.evil.org/b") == "https://data.example.org.evil.org/b"
        assert portal.reachable("https://elsewhere.org/b.csv") == "https://elsewhere.org/b.csv"

    @pytest.mark.parametrize(
        ("resource", "answer"),
        [
            ({"datastore_active": True}, True),
            ({"url": "https://a.org/b"}, True),
            ({"url": "ftp://a.org/b"}, False),
            ({"url": ""}, False),
            ({}, False),
            ({"url": "https://a.org/api", "resource_type": "api"}, False),
        ],
    )
    def test_what_has_rows_or_a_file_can_be_packed(self, resource: dict[str, Any], answer: bool) -> None:
        assert module("parameters").downloadable(resource) is answer


def test_the_size_grows_with_the_rows_and_needs_a_sample() -> None:
    size = module("estimate").zipped_size
    sample = "".join(f"{number},Aloe ferox,Kenya\n" for number in range(200))
    assert size("", 0, 5) is None
    assert 0 < size(sample, 200, 200) < len(sample)
    assert size(sample, 200, 200_000) > 500 * size(sample, 200, 200)


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "address"),
    [
        ("192.0.2.1", "", 1, "192.0.2.1"),
        ("127.0.0.1", "198.51.100.7", 1, "198.51.100.7"),
        ("127.0.0.1", "made-up, 198.51.100.7", 1, "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", 2, "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7", 2, "198.51.100.7"),
        ("127.0.0.1", "198.51.100.7", 0, "127.0.0.1"),
        ("8.8.8.8", "198.51.100.7", 1, "8.8.8.8"),
        ("unix:", "198.51.100.7", 1, "unix:"),
    ],
)
def test_the_address_is_read_from_proxies_alone(peer: str, forwarded: str, proxies: int, address: str) -> None:
    assert module("addresses").client_address(peer, forwarded, proxies) == address


class TestTranslations:
    def catalog(self, language: str) -> dict[Any, str]:
        path = PACKAGE / "i18n" / language / "LC_MESSAGES" / "ckanext-packager.mo"
        with path.open("rb") as file:
            return dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]

    def template(self) -> set[str]:
        text = (PACKAGE / "i18n" / "ckanext-packager.pot").read_text(encoding="utf-8")
        return {found.replace('\\"', '"') for found in re.findall(r'^msgid "(.+)"$', text, re.M)}

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_every_text_is_translated_and_compiled(self, language: str) -> None:
        compiled = {key[0] if isinstance(key, tuple) else key for key, text in self.catalog(language).items() if text}
        assert self.template() - compiled == set()

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_placeholders_are_those_of_the_original(self, language: str) -> None:
        for key, text in self.catalog(language).items():
            original = key[0] if isinstance(key, tuple) else key
            assert set(re.findall(r"%\(\w+\)s", text)) == set(re.findall(r"%\(\w+\)s", original)), text

    def test_the_texts_of_the_code_are_in_the_template(self) -> None:
        known = self.template()
        for path in PACKAGE.rglob("*.py"):
            for text in re.findall(r'tk\._\(\s*"([^"]+)"', path.read_text(encoding="utf-8")):
                assert text in known, f"{path.name}: {text}"
        for path in PACKAGE.rglob("*.html"):
            for text in re.findall(r"""[{ (]_\('([^']+)'\)""", path.read_text(encoding="utf-8")):
                assert text in known, f"{path.name}: {text}"


def test_every_option_is_declared_documented_and_read() -> None:
    declared = yaml.safe_load((PACKAGE / "config_declaration.yaml").read_text(encoding="utf-8"))
    names = {option["key"].removeprefix("ckanext.packager.") for option in declared["groups"][0]["options"]}
    readme = (EXTENSION / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `ckanext\.packager\.(\w+)`", readme, re.M)) == names
    settings = (PACKAGE / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'_text\("(\w+)"\)', settings)) | set(re.findall(r'"ckanext\.packager\.(\w+)"', settings))
    assert read == names


def test_the_package_has_all_its_files() -> None:
    """Those that setuptools takes only because pyproject.toml names them."""
    import tomllib

    data = tomllib.loads((EXTENSION / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = data["tool"]["setuptools"]["package-data"]["ckanext.packager"]
    taken = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    others = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others - taken == set()


def test_the_stand_ins_leave_nothing_behind() -> None:
    own = sys.modules["ckan"]
    with stub_ckan():
        assert sys.modules["ckan"] is not own
    assert sys.modules["ckan"] is own
    assert Path(own.__name__).name == "ckan"
