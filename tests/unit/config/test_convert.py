"""`config convert`: the original's Python settings become a configuration of ours, and what does not is told."""

from pathlib import Path

import pytest
import yaml

from ckanpackager.config.convert import Conversion, convert, notes_in_lines
from ckanpackager.config.load import load_settings
from ckanpackager.config.settings import Settings
from ckanpackager.errors import ConfigError

WHOLE = '''# -*- coding: utf-8 -*-
# Our packager

DEBUG = False
HOST = '0.0.0.0'  # behind Apache
PORT = 8765
SECRET = 'correct horse battery staple'
STATS_DB = 'sqlite:////srv/packager/stats.db'
ANONYMIZE_EMAILS = False
CELERY_BROKER = 'redis://localhost:6379/0'
STORE_DIRECTORY = "/srv/packager/resources"
TEMP_DIRECTORY = "/tmp"
CACHE_TIME = 60*60*24
PAGE_SIZE = 5000
SLOW_REQUEST = 10000
ZIP_COMMAND = "/usr/bin/zip -j {output} {input}"
SUCCESS_MESSAGE = "Please be patient!"
EMAIL_SUBJECT = "Resource from {ckan_host}"
EMAIL_FROM = "Data portal <data@example.org>"
EMAIL_BODY = """Hello,

http://www.example.org/resources/{zip_file_name}

{doi_body}
"""
EMAIL_BODY_HTML = """<p>Hello,</p>
<p><a href="http://www.example.org/resources/{zip_file_name}">here</a></p>
{doi_body_html}
"""
DOI_BODY = "https://doi.org/{doi}"
DOI_BODY_HTML = "<a href='https://doi.org/{doi}'>{doi}</a>"
SMTP_HOST = 'smtp.example.org'
SMTP_PORT = 587
SMTP_LOGIN = 'portal'
SMTP_PASSWORD = 'a: #b'
DWC_ID_FIELD = '_id'
DWC_CORE_EXTENSION = '/etc/ckanpackager/gbif_dwca_extensions/core/dwc_occurrence.xml'
DWC_ADDITIONAL_EXTENSIONS = []
DWC_DYNAMIC_TERM = 'dynamicProperties'
DWC_EXTENSION_FIELDS = {
    'associatedMedia': {
        'extension': '/etc/ckanpackager/gbif_dwca_extensions/extensions/multimedia.xml',
        'fields': {'type': 'StillImage', 'format': 'image/jpeg', 'identifier': ''},
        # solr has it under another name
        'mappings': {'format': 'mime'},
        'formatters': {'format': lambda v: 'image/{}'.format(v) if v else v}
    }
}
'''


def values(text: str) -> dict[str, object]:
    """What the file with that text is converted to."""
    found = yaml.safe_load(convert(text.encode(), "ckanpackager_settings.py").text)
    assert isinstance(found, dict)
    return found


def notes(text: str) -> list[str]:
    return list(notes_in_lines(convert(text.encode(), "s.py"), "s.py"))


def about(option: str, text: str) -> str:
    """The one note about an option."""
    (words,) = [note for note in notes(text) if f" {option}: " in note]
    return words


def loaded(folder: Path, conversion: Conversion) -> Settings:
    path = folder / "ckanpackager.yaml"
    path.write_text(conversion.text)
    return load_settings(path, {})


# The whole file


def test_every_option_is_carried_over_by_its_name(tmp_path: Path) -> None:
    settings = loaded(tmp_path, convert(WHOLE.encode(), "s.py"))
    assert (settings.receiver.host, settings.receiver.port) == ("0.0.0.0", 8765)
    assert settings.receiver.secret == "correct horse battery staple"
    assert settings.statistics.stats_db == "sqlite:////srv/packager/stats.db"
    assert settings.archives.store_directory == "/srv/packager/resources"
    assert settings.archives.temp_directory == "/tmp"
    assert settings.archives.cache_time == 86400
    assert settings.spool.slow_request == 10000
    assert settings.engine.celery_broker == "redis://localhost:6379/0"
    assert settings.receiver.success_message == "Please be patient!"
    assert settings.mail.email_from == "Data portal <data@example.org>"
    assert settings.mail.email_body.endswith("/resources/{zip_file_name}\n\n{doi_body}\n")
    assert settings.mail.doi_body == "https://doi.org/{doi}"
    assert (settings.mail.smtp_login, settings.mail.smtp_password) == ("portal", "a: #b")
    assert settings.darwin_core.dwc_extension_fields["associatedMedia"] == {
        "extension": "multimedia",
        "fields": {"type": "StillImage", "format": "image/jpeg", "identifier": ""},
        "mappings": {"format": "mime"},
        "formatters": {"format": "image/{}"},
    }


def test_what_is_new_is_taken_from_the_paths_and_links_that_are_there(tmp_path: Path) -> None:
    settings = loaded(tmp_path, convert(WHOLE.encode(), "s.py"))
    assert settings.spool.spool_directory == "/srv/packager/spool"
    assert settings.mail.download_url == "http://www.example.org/resources"


def test_a_small_page_size_and_a_plain_zip_stay_as_comments_with_the_reason() -> None:
    text = convert(WHOLE.encode(), "s.py").text
    assert "\n#page_size: 5000\n" in text
    assert "\n#zip_command: /usr/bin/zip -j {output} {input}\n" in text
    assert "small pages are slow" in about("PAGE_SIZE", WHOLE)


def test_a_zip_command_of_ones_own_is_carried_over() -> None:
    assert values("ZIP_COMMAND = '/opt/7z a {output} {input}'")["zip_command"] == "/opt/7z a {output} {input}"


def test_comments_stay_where_they_were() -> None:
    lines = convert(WHOLE.encode(), "s.py").text.splitlines()
    assert lines[lines.index("host: 0.0.0.0") - 1] == "# behind Apache"
    assert "# solr has it under another name" in lines
    assert not any("coding" in line for line in lines)


def test_what_is_not_set_has_the_originals_default_where_data_depends_on_it() -> None:
    found = values("PORT = 80")
    assert found["stats_db"] == "sqlite:////var/lib/ckanpackager/stats.db"
    assert found["store_directory"] == "/tmp/ckanpackager"
    assert "associatedMedia" in found["dwc_extension_fields"]  # type: ignore[operator]
    assert found["spool_directory"] == "/var/lib/ckanpackager/spool"


def test_a_mail_that_was_plain_text_stays_so() -> None:
    found = values("EMAIL_BODY = 'http://{ckan_host}/{zip_file_name}'")
    assert found["email_body_html"] is None
    assert "download_url" not in found


def test_the_link_of_a_host_that_varies_leaves_the_download_url_to_be_set() -> None:
    assert any("download_url: set it" in note for note in notes("EMAIL_BODY = 'http://{ckan_host}/{zip_file_name}'"))


# Options with a story


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("WORKERS", "3", "not carried over: /status only reported"),
        ("SENTRY_DSN", "'https://k@sentry.example.org/1'", "not carried over: errors go to"),
        ("CELERY_BROKER", "'redis://'", "needed only with `engine: celery`"),
        ("PAGE_SIZE", "5000", "not carried over: small pages are slow"),
        ("REQUESTS_PER_WORKER", "100", "--max-jobs"),
        ("CELERYD_CONCURRENCY", "4", "an option of Celery"),
        ("SESSION_COOKIE_NAME", "'x'", "no option of the original"),
    ],
)
def test_an_option_without_a_place_is_explained(option: str, value: str, words: str) -> None:
    text = f"\n{option} = {value}"
    assert words in about(option, text) and about(option, text).startswith("s.py:2: ")
    assert words in convert(text.encode(), "s.py").text.replace("\n# ", " ")
    assert values(text).keys() & {"workers", "page_size", "sentry_dsn"} == set()


def test_the_published_secret_is_left_out_and_said() -> None:
    text = "SECRET = '8ba6d280d4ce9a416e9b604f3f0ebb'"
    assert "secret" not in values(text)
    assert "published" in about("SECRET", text)


def test_a_sender_that_is_no_address_is_left_out_and_said() -> None:
    assert "email_from" not in values("EMAIL_FROM = '(nobody)'")
    assert "no address" in about("EMAIL_FROM", "EMAIL_FROM = '(nobody)'")


def test_a_definition_of_ones_own_keeps_its_path() -> None:
    assert values("DWC_CORE_EXTENSION = '/etc/own/taxa.xml'")["dwc_core_extension"] == "/etc/own/taxa.xml"
    assert values("DWC_ADDITIONAL_EXTENSIONS = ['/x/measurements_or_facts.xml', '/x/own.xml']")[
        "dwc_additional_extensions"
    ] == ["measurement_or_fact", "/x/own.xml"]


def test_a_value_of_another_type_is_converted_or_said() -> None:
    assert values("PORT = '8080'")["port"] == 8080
    assert "port" not in values("PORT = 'eighty'")
    assert "not carried over: expected a whole number" in about("PORT", "PORT = 'eighty'")
    assert "expected extension and fields" in about("DWC_EXTENSION_FIELDS", "DWC_EXTENSION_FIELDS = {'a': 1}")


# Python


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("60*60*24", 86400),
        ("2 ** 10 - -1", 1025),
        ("86400 / 2", 43200),
        ("60 if True else 1", 60),
        ("int('60')", 60),
        ("0 or 90", 90),
    ],
)
def test_numbers_are_worked_out(expression: str, value: float) -> None:
    assert values(f"CACHE_TIME = {expression}")["cache_time"] == value


@pytest.mark.parametrize(
    "expression",
    [
        "BASE + '/store'",
        "BASE+'/' 'store'",
        "'%s/%s' % (BASE, 'store')",
        "'{}/{}'.format(BASE, 'store')",
        "'{base}/store'.format(base=BASE)",
        "f'{BASE}/store'",
        "os.path.join(BASE, 'store')",
        "'/'.join([BASE, 'store'])",
        "u'/srv/store'",
        "b'/srv/store'",
        "''' /srv/store'''.strip()",
    ],
)
def test_texts_are_put_together(expression: str) -> None:
    assert values(f"import os\nBASE = '/srv'\nSTORE_DIRECTORY = {expression}")["store_directory"] == "/srv/store"


@pytest.mark.parametrize(
    "formatter",
    [
        "lambda v: 'image/{}'.format(v)",
        "lambda v: 'image/' + v",
        "lambda v: 'image/%s' % v",
        "lambda v: f'image/{v}'",
        "lambda v: 'image/' + str(v)",
        "lambda v: v and 'image/' + v",
        "lambda v: 'image/{}'.format(v) if v else v",
        "as_image",
        "also",
    ],
)
def test_functions_that_put_text_around_a_value_become_texts(formatter: str) -> None:
    text = (
        "def as_image(v):\n    return 'image/' + v\nalso = lambda value: 'image/' + value\n"
        f"DWC_EXTENSION_FIELDS = {{'m': {{'extension': 'multimedia', 'fields': {{'format': None}},"
        f" 'formatters': {{'format': {formatter}}}}}}}"
    )
    assert values(text)["dwc_extension_fields"] == {
        "m": {"extension": "multimedia", "fields": {"format": None}, "formatters": {"format": "image/{}"}}
    }


@pytest.mark.parametrize(
    "formatter",
    [
        "lambda v: v.lower()",
        "lambda v: 'image/' + v.strip()",
        "lambda v: v[1:]",
        "lambda v: v + v",
        "lambda v: 'image'",
        "lambda v, w: v + w",
        "lambda v: 'a' if v == 'b' else 'c'",
        "lambda v: '{' + v",
        "unheard_of",
    ],
)
def test_functions_that_do_more_are_told(formatter: str) -> None:
    text = f"DWC_EXTENSION_FIELDS = {{'m': {{'extension': 'x', 'fields': {{}}, 'formatters': {{'f': {formatter}}}}}}}"
    assert "not carried over" in about("DWC_EXTENSION_FIELDS", text)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SECRET = os.environ['SECRET']", "SECRET: not carried over: os.environ['SECRET'] is known only when"),
        ("SECRET = os.environ.get('SECRET', 'x')", "comes from the environment"),
        ("SECRET = open('/etc/secret').read()", "is known only when Python runs it"),
        ("PORT = UNHEARD_OF + 1", "UNHEARD_OF is set nowhere above"),
        ("CACHE_TIME = 9 ** 9 ** 9", "the number is too large"),
        ("SECRET = 'x' * 10 ** 9", "the text is too long"),
        ("SECRET = '%1000000000d' % 1", "is not understood"),
        ("SECRET = '{0.__class__}'.format(1)", "is known only when"),
        ("PORT = 1 / 0", "Python says: division by zero"),
        ("from local_settings import *", "from local_settings import *: this statement is not understood"),
        ("try:\n    PORT = 1\nexcept Exception:\n    HOST = 'x'", "it sets HOST, PORT"),
        ("if os.path.exists('/x'):\n    PORT = 1", "whether this condition holds"),
        ("DWC_ADDITIONAL_EXTENSIONS.append('x')", "this statement is not understood"),
        ("os.system('touch /tmp/ran')", "this statement is not understood"),
    ],
)
def test_what_only_python_knows_is_told_with_its_line(statement: str, words: str) -> None:
    found = [note for note in notes(f"import os\n{statement}") if words in note]
    assert found and found[0].startswith("s.py:2: ")


def test_nothing_in_the_file_is_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    convert(f"import os\nopen({str(ran)!r}, 'w')\nPORT = os.system('touch {ran}')".encode(), "s.py")
    assert not ran.exists()


def test_the_last_value_of_an_option_counts() -> None:
    assert values("PORT = 1\nPORT = 2")["port"] == 2
    assert values("PORT = 1\nif PORT == 2:\n    PORT = 3\nif True:\n    PORT = 4\nelse:\n    PORT = 5")["port"] == 4
    assert values("PORT = 1\nPORT += 1")["port"] == 2
    assert values("HOST, PORT = 'h', 7") | {} == values("HOST = 'h'\nPORT = 7")
    assert values("DWC_EXTENSION_FIELDS = {}\nDWC_EXTENSION_FIELDS['m'] = {'extension': 'x', 'fields': {}}")[
        "dwc_extension_fields"
    ] == {"m": {"extension": "x", "fields": {}}}


def test_a_file_in_another_encoding_is_read_as_it_says() -> None:
    text = convert("# coding: latin-1\nSUCCESS_MESSAGE = 'G\xe9nial'".encode("latin-1"), "s.py").text
    assert yaml.safe_load(text)["success_message"] == "Génial"


@pytest.mark.parametrize("source", [b"PORT = ", b"print 'x'", b"PORT = 60L", b"\xff\xfe", b"PORT = '\0'"])
def test_a_file_that_python_3_cannot_read_is_refused_in_words(source: bytes) -> None:
    with pytest.raises(ConfigError, match=r"s\.py(:1)?: Python 3 cannot read this; rewrite the line"):
        convert(source, "s.py")


@pytest.mark.parametrize("text", ["a\nb", "a\n\nb\n\n", " lead\n\ttab\n", "trailing \nspace", "#a: b", "", "é\u2028"])
def test_texts_of_any_shape_survive(text: str) -> None:
    assert values(f"SUCCESS_MESSAGE = {text!r}")["success_message"] == text
