"""The configuration: what is read, and that each mistake is named with its place and what was expected."""

import re
from pathlib import Path

import msgspec
import pytest

from ckanpackager.config.example import documented_example
from ckanpackager.config.load import _URL, PUBLISHED_SECRETS, find_configuration, load_settings
from ckanpackager.config.settings import Settings, with_trait
from ckanpackager.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "ckanpackager.yaml.example"
KEYS = [
    (section.name, key) for section in msgspec.structs.fields(Settings) for key in msgspec.structs.fields(section.type)
]
NO_LINK = "email_body: Ready.\nemail_body_html: null\n"  # so that nothing is required


def load(folder: Path, text: str | bytes, **environ: str) -> Settings:
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(path, environ)


def faults(folder: Path, text: str | bytes, **environ: str) -> list[str]:
    """What is said about a file, a line each, without the folder."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **environ)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def uncommented(text: str) -> str:
    return re.sub(r"^#(?! \S)", "", text, flags=re.MULTILINE)


# The example


def test_the_example_in_the_repository_is_the_one_that_the_settings_describe() -> None:
    assert EXAMPLE.read_text() == documented_example(), "write it anew: make example"


def test_the_example_loads_and_its_secret_is_known_to_be_published(tmp_path: Path) -> None:
    settings = load(tmp_path, documented_example())
    assert settings.receiver.secret in PUBLISHED_SECRETS
    assert settings.mail.download_url == with_trait("example")["download_url"]


def test_the_example_with_every_line_uncommented_holds_the_defaults(tmp_path: Path) -> None:
    text = uncommented(documented_example())
    assert set(re.findall(r"^(\w+):", text, flags=re.MULTILINE)) == {key.name for _, key in KEYS}
    assert load(tmp_path, text) == load(tmp_path, documented_example())


@pytest.mark.parametrize("key", [key for _, key in KEYS], ids=lambda key: key.name)
def test_every_key_has_a_description_and_stands_in_the_example(key: msgspec.structs.FieldInfo) -> None:
    assert any(len(meta.description or "") > 5 for meta in key.type.__metadata__)
    assert re.search(rf"^#?{key.name}: ", documented_example(), flags=re.MULTILINE)


def test_no_key_stands_in_two_sections() -> None:
    assert len({key.name for _, key in KEYS}) == len(KEYS)


def test_comments_of_the_example_fit_on_a_line() -> None:
    assert all(len(line) <= 100 for line in re.findall(r"^# \S.*", documented_example(), flags=re.MULTILINE))


# What is read


def test_an_empty_file_asks_for_the_download_url_only(tmp_path: Path) -> None:
    assert faults(tmp_path, "") == [
        "c.yaml: download_url: missing; the link in mails needs the URL under which store_directory is served"
    ]


def test_nothing_is_required_where_no_mail_holds_the_link(tmp_path: Path) -> None:
    assert load(tmp_path, NO_LINK).mail.download_url is None


def test_sections_get_their_keys(tmp_path: Path) -> None:
    settings = load(
        tmp_path, NO_LINK + "port: 80\nworkers: {slow: 3}\nallowed_hosts: [a.org, 'b.org:8080', '[::1]:80']\n"
    )
    assert settings.receiver.port == 80
    assert (settings.spool.workers.fast, settings.spool.workers.slow) == (1, 3)
    assert settings.ckan.allowed_hosts == ["a.org", "b.org:8080", "[::1]:80"]


@pytest.mark.parametrize(
    "sender",
    [
        "a@b",
        "Data portal <a@b.org>",
        '"Portal, data" <a@b.org>',
        "Dätä (NHM) <a@b.org>",
        "{ckan_host} <{resource_id}@{ckan_host}>",
    ],
)
def test_senders_with_and_without_a_name_are_taken(tmp_path: Path, sender: str) -> None:
    assert load(tmp_path, NO_LINK + f"email_from: '{sender}'\n").mail.email_from == sender


def test_the_example_of_the_original_is_taken_key_by_key_in_lower_case(tmp_path: Path) -> None:
    text = """\
debug: false
host: '127.0.0.1'
port: 8765
secret: '8ba6d280d4ce9a416e9b604f3f0ebb'
stats_db: 'sqlite:////var/lib/ckanpackager/stats.db'
celery_broker: 'redis://localhost:6379/0'
store_directory: /tmp/ckanpackager
temp_directory: /tmp
cache_time: 86400
page_size: 5000
slow_request: 50000
zip_command: /usr/bin/zip -j {output} {input}
email_subject: Resource from {ckan_host}
email_from: nobody@example.org
email_body: |
  The link to the resource you requested on {ckan_host} is available at:
  http://{ckan_host}/{zip_file_name}
email_body_html: null
smtp_host: localhost
smtp_port: 25
dwc_id_field: _id
dwc_additional_extensions: []
dwc_dynamic_term: dynamicProperties
dwc_extension_fields:
  associatedMedia:
    extension: multimedia.xml
    fields: {type: StillImage, title: '', license: null}
    mappings: {mime: format}
    formatters: {format: 'image/{}'}
"""
    settings = load(tmp_path, text)
    assert settings.archives.zip_command == "/usr/bin/zip -j {output} {input}"
    assert settings.darwin_core.dwc_extension_fields == {
        "associatedMedia": {
            "extension": f"{tmp_path}/multimedia.xml",
            "fields": {"type": "StillImage", "title": "", "license": None},
            "mappings": {"mime": "format"},
            "formatters": {"format": "image/{}"},
        }
    }


def test_relative_paths_are_relative_to_the_configuration_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    settings = load(
        tmp_path,
        NO_LINK + "store_directory: ../store\ntemp_directory: ~/temp\nmail_directory: /var/mail/x\n"
        "dwc_core_extension: core.xml\ndwc_additional_extensions: [a.xml, /b.xml]\n",
    )
    assert settings.spool.spool_directory == f"{tmp_path}/spool"
    assert settings.archives.store_directory == f"{tmp_path.parent}/store"
    assert settings.archives.temp_directory == "/home/somebody/temp"
    assert settings.mail.mail_directory == "/var/mail/x"
    assert settings.darwin_core.dwc_core_extension == f"{tmp_path}/core.xml"
    assert settings.darwin_core.dwc_additional_extensions == [f"{tmp_path}/a.xml", "/b.xml"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sqlite:///stats.db", "sqlite:///{folder}/stats.db"),
        ("sqlite+pysqlite:///data/stats.db?timeout=9", "sqlite+pysqlite:///{folder}/data/stats.db?timeout=9"),
        ("sqlite:////var/lib/stats.db", "sqlite:////var/lib/stats.db"),
        ("postgresql://user:password@host/stats", "postgresql://user:password@host/stats"),
    ],
)
def test_relative_sqlite_files_are_relative_to_the_configuration_file(tmp_path: Path, written: str, read: str) -> None:
    assert load(tmp_path, NO_LINK + f"stats_db: {written}\n").statistics.stats_db == read.format(folder=tmp_path)


def test_urls_are_kept_without_the_slash_at_their_end(tmp_path: Path) -> None:
    settings = load(tmp_path, "download_url: https://x.org/get/\npublic_url: http://x.org:8765/\n")
    assert (settings.mail.download_url, settings.receiver.public_url) == ("https://x.org/get", "http://x.org:8765")


def test_variables_go_before_the_file_unless_they_are_empty(tmp_path: Path) -> None:
    text = NO_LINK + "secret: in-file\nstats_db: sqlite:////file.db\n"
    settings = load(
        tmp_path,
        text,
        CKANPACKAGER_SECRET="of-environment",
        CKANPACKAGER_STATS_DB="",
        CKANPACKAGER_SMTP_LOGIN="me",
        CKANPACKAGER_SMTP_PASSWORD="12345",
        CKANPACKAGER_ANONYMIZE_KEY="k",
        CKANPACKAGER_PORT="1",
    )
    assert settings.receiver.secret == "of-environment"
    assert settings.receiver.port == 8765
    assert settings.statistics.stats_db == "sqlite:////file.db"
    assert (settings.mail.smtp_login, settings.mail.smtp_password) == ("me", "12345")
    assert settings.statistics.anonymize_key == "k"


# What is wrong

WRONG = {
    # names
    "STATS_DB: x": "1: STATS_DB: unknown key; write it in lower case: stats_db",
    "smtp_hots: x": "1: smtp_hots: unknown key; did you mean smtp_host?",
    "\n# comment\nquux: 1": "3: quux: unknown key",
    "port: 1\nport: 1": "2: port: set twice, the first time in line 1",
    "workers: {fats: 1}": "1: workers.fats: unknown key; did you mean fast?",
    # absurd numbers, deep nesting
    "keep_archives: 1e8": "1: keep_archives: expected a number, got text '1e8'",
    "keep_archives: 1.0e+8": "1: keep_archives: expected a number in plain decimal digits, got the number 1.0e+8",
    "keep_archives: 100000000": "1: keep_archives: expected a number of at most 36500, got the number 100000000",
    "keep_done: 36501": "1: keep_done: expected a number of at most 36500, got the number 36501",
    "request_timeout: 10000000000": (
        "1: request_timeout: expected a number of at most 31536000, got the number 10000000000"
    ),
    "smtp_timeout: 1_000_000_000_000": (
        "1: smtp_timeout: expected a number of at most 31536000, got the number 1_000_000_000_000"
    ),
    "workers: {fast: 1000000}": "1: workers.fast: expected an integer of at most 1000, got the number 1000000",
    "page_size: 1000000000000": "1: page_size: expected an integer of at most 10000000, got the number 1000000000000",
    f"port: {'9' * 5000}": "1: port: YAML cannot make a value of this; put text in quotes",
    # types
    "port: http": "1: port: expected an integer, got text 'http'",
    "port: 0": "1: port: expected an integer of at least 1, got the number 0",
    "port: 65536": "1: port: expected an integer of at most 65535, got the number 65536",
    "port: 1.5": "1: port: expected an integer, got the number 1.5",
    "port:": "1: port: expected an integer, got nothing",
    "debug: 1": "1: debug: expected true or false, got the number 1",
    "keep_done: 0": "1: keep_done: expected a number above 0, got the number 0",
    "max_jobs_per_email: x": "1: max_jobs_per_email: expected an integer or null, got text 'x'",
    "spool_directory: ''": "1: spool_directory: expected text (not empty), got text ''",
    "smtp_host: [x]": "1: smtp_host: expected text, got a list; put it in quotes",
    "smtp_security: ssl": "1: smtp_security: expected one of none, starttls, tls, got text 'ssl'",
    "workers:\n  fast: 1\n  slow: x": "3: workers.slow: expected an integer, got text 'x'",
    "workers: 2": "1: workers: expected a mapping, got the number 2",
    "allowed_hosts: x": "1: allowed_hosts: expected a list or null, got text 'x'",
    "allowed_hosts:\n- a\n- 3": "3: allowed_hosts[2]: expected text, got the number 3; put it in quotes",
    "dwc_extension_fields:\n  media:\n    fields: {}": "2: dwc_extension_fields.media: extension is missing",
    "dwc_extension_fields:\n  media:\n    extension: x\n    fields:\n      type: 3": (
        "5: dwc_extension_fields.media.fields.type: expected text or null, got the number 3; put it in quotes"
    ),
    # what YAML takes for something else
    "host: on": "1: host: expected text, got the truth value on; put it in quotes",
    "host: no": "1: host: expected text, got the truth value no; put it in quotes",
    "host: 2026-01-31": "1: host: expected text, got the date 2026-01-31; put it in quotes",
    "host: 2026-99-99": "1: host: YAML cannot make a value of this; put text in quotes",
    "host: !x y": "1: host: YAML cannot make a value of this; put text in quotes",
    "secret: 12345": "1: secret: expected text or null, got a number; put it in quotes",
    "port: 0700": "1: port: expected a number in plain decimal digits, got the number 0700",
    "smtp_port: 1:30": "1: smtp_port: expected a number in plain decimal digits, got the number 1:30",
    "cache_time: .inf": "1: cache_time: expected a number in plain decimal digits, got the number .inf",
    "email_subject: {doi}": "1: email_subject: expected text, got a mapping; put it in quotes",
    # values
    "cache_time: 700000": (
        "1: cache_time: longer than keep_archives, so that links to archives that are removed already would be sent"
    ),
    "download_url: ftp://x": f"1: download_url: {_URL}",
    "download_url: //x": f"1: download_url: {_URL}",
    "download_url: https://x?get=": f"1: download_url: {_URL}",
    "public_url: x.org": f"1: public_url: {_URL}",
    "public_url: http://x:port/": f"1: public_url: {_URL}",
    "email_from: (nobody)": ("1: email_from: expected one address, as in: Data portal <data@example.org>"),
    "email_from: a@b, c@d": ("1: email_from: expected one address, as in: Data portal <data@example.org>"),
    'email_from: "a <a@b>\\nBcc: c@d"': ("1: email_from: expected one address, as in: Data portal <data@example.org>"),
    "email_from: x@{ckan_hosts}": ("1: email_from: unknown placeholder {ckan_hosts}; did you mean {ckan_host}?"),
    "email_from: x@{job}": "1: email_from: unknown placeholder {job}",
    "email_from: x@{ckan_host}.org, y@x.org": (
        "1: email_from: expected one address, as in: Data portal <data@example.org>"
    ),
    "email_subject: |\n  x": "1: email_subject: expected a single line",
    'email_failure_subject: "x\\ry"': "1: email_failure_subject: expected a single line",
    "email_failure_body: '{zip_filename}'": (
        "1: email_failure_body: unknown placeholder {zip_filename}; did you mean {zip_file_name}?"
    ),
    "doi_body: '{doi_body}'": "1: doi_body: unknown placeholder {doi_body}",
    "smtp_login: me": "1: smtp_password: missing, and smtp_login is set",
    "smtp_password: x": "1: smtp_login: missing, and smtp_password is set",
    "anonymize_emails: true": "1: anonymize_key: missing, and anonymize_emails needs it",
    "retry_delay: 7200": "1: retry_delay: 7200 is greater than retry_delay_max, 3600",
    "retry_delay_max: 30": "1: retry_delay: 60 is greater than retry_delay_max, 30",
    "zip_command: zip {output}": "1: zip_command: {input} is missing",
    "zip_command: zip {input} {output} {x}": "1: zip_command: unknown placeholder {x}",
    "zip_command: zip {input} {output} '": (
        "1: zip_command: a quote is not closed, or the last backslash stands before nothing"
    ),
    "allowed_hosts: [https://x.org/]": (
        "1: allowed_hosts: expected host or host:port, no scheme and no path, got 'https://x.org/'"
    ),
    "stats_db: stats.db": (
        "1: stats_db: expected the SQLAlchemy URL of a database on disk or server, as in sqlite:///stats.db"
    ),
    "stats_db: 'sqlite:///:memory:'": (
        "1: stats_db: expected the SQLAlchemy URL of a database on disk or server, as in sqlite:///stats.db"
    ),
}
NOT_YAML = {
    "- port": "1: expected `key: value` in each line",
    "port:8765": "1: expected `key: value` in each line",
    "port 8765\nhost: x": "2: text with a colon needs quotes, or the line above lacks its colon",
    "host: x\nport 8765": "2: expected `key: value`",
    "email_subject: Data: {doi}": "1: text with a colon needs quotes, or the line above lacks its colon",
    "port: 1\nhost: 'x\n": "2: a quote is opened here and not closed",
    "allowed_hosts: [a,\nport: 1": (
        "1: a bracket or brace is opened here and not closed; put text that starts with one in quotes"
    ),
    "workers:\n\tfast: 1": "2: a tab; indent with spaces",
    "secret: %x": "1: put text that starts with this character in quotes",
    "secret: *x": "1: put text that starts with * in quotes",
    'secret: "\\x"': "1: a backslash that has no meaning in double quotes; use single quotes",
    "secret: ]": "1: not YAML; put text in quotes",
    "port: 1\n---\nport: 2": "2: a second document starts here; there can be only one",
    "  port: 1\nhost: x": "2: indented less than the first line",
    "email_subject: {doi} from x": (
        "1: indentation like no line above, or more after the end of a value; put text in quotes"
    ),
    "port: 1\nhost: a\0": "2: a control character; remove it",
    "# old\nSECRET = 'x'\nPORT = 8765\n": (
        "2: this is Python, as the original's configuration was; write YAML: `port: 8765`, not `PORT = 8765`"
    ),
}


@pytest.mark.parametrize(
    "text",
    [
        f"filters: {'[' * 5000}{']' * 5000}",
        f"dwc_extension_fields: {'{a: ' * 5000}1{'}' * 5000}",
        "dwc_extension_fields: &x {a: {extension: multimedia, fields: &y {a: *y}}}",
    ],
    ids=["lists", "mappings", "an alias within its own anchor"],
)
def test_what_is_nested_too_deeply_is_refused_in_words(tmp_path: Path, text: str) -> None:
    for fault in faults(tmp_path, text):
        assert re.match(r"c\.yaml(:1)?: ", fault)


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_key_or_value_is_named_with_its_line_and_what_was_expected(tmp_path: Path, text: str) -> None:
    required = "" if text.startswith("download_url") else "\ndownload_url: https://x.org"
    assert faults(tmp_path, text + required) == [f"c.yaml:{WRONG[text]}"]


@pytest.mark.parametrize("text", NOT_YAML)
def test_what_is_no_yaml_is_named_with_its_line_in_plain_words(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) == [f"c.yaml:{NOT_YAML[text]}"]


def test_text_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    said = faults(tmp_path, "# ä\nemail_from: Dätä <a@b>\n".encode("latin-1").replace(b"# \xe4", b"# a"))
    assert said == ["c.yaml:2: not UTF-8; save the file in that encoding"]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfport: 80\n" + NO_LINK.encode()).receiver.port == 80


def test_all_faults_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    said = faults(tmp_path, "pot: 1\nworkers: {fast: x, slow: y}\nhost: off\nzip_command: zip\nemail_body: '{x}'\n")
    assert [re.sub(r"^c.yaml:?(\d*): ([\w.]+):.*", r"\1 \2", line) for line in said] == [
        "1 pot",
        "2 workers.fast",
        "2 workers.slow",
        "3 host",
        "4 zip_command",
        "4 zip_command",
        "5 email_body",
        " download_url",
    ]


def test_a_value_that_is_wrong_brings_no_second_fault_about_its_default(tmp_path: Path) -> None:
    assert faults(tmp_path, "download_url: 3\nretry_delay_max: 1\nretry_delay: x\n") == [
        "c.yaml:1: download_url: expected text or null, got the number 3; put it in quotes",
        "c.yaml:3: retry_delay: expected a number, got text 'x'",
    ]


def test_text_may_speak_of_numbers_and_dates(tmp_path: Path) -> None:
    assert load(tmp_path, NO_LINK + "success_message: a number, 0700\n").receiver.success_message == "a number, 0700"


@pytest.mark.parametrize("key", ["secret", "smtp_password", "anonymize_key", "stats_db", "celery_broker"])
@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        "[hunter2]",
        "{hunter2: hunter2}",
        "!hunter2 x",
        "*hunter2",
        "&hunter2 &hunter2 x",
        "'hunter2",
        "h: hunter2",
        "%hunter2",
        '"\\hunter2"',
        "2026-01-31",
        "20260131",
        "!!binary hunter2",
        "!!set {hunter2}",
        "|hunter2",
        "{hunter2",
    ],
)
def test_no_secret_is_told_in_a_fault(tmp_path: Path, key: str, value: str) -> None:
    said = "\n".join(faults(tmp_path, f"{key}: {value}\nsmtp_login: me\nport: x\n"))
    assert "hunter2" not in said
    assert "2026" not in said


def test_a_secret_written_as_python_or_without_its_blank_is_not_told_either(tmp_path: Path) -> None:
    for text in ("SECRET = 'hunter2'", "secret=hunter2: x", "secret:hunter2", "SECRET: hunter2", "- hunter2"):
        assert "hunter2" not in "\n".join(faults(tmp_path, text))


# Where it is


def test_the_explicit_file_goes_before_the_variable_and_the_usual_places(tmp_path: Path) -> None:
    system, here = tmp_path / "etc.yaml", tmp_path / "ckanpackager.yaml"
    environ = {"CKANPACKAGER_CONFIG": "named.yaml"}
    system.touch()
    assert find_configuration(None, {}, tmp_path, system) == system
    here.touch()
    assert find_configuration(None, {"CKANPACKAGER_CONFIG": ""}, tmp_path, system) == here
    assert find_configuration(None, environ, tmp_path, system) == tmp_path / "named.yaml"
    assert find_configuration(Path("/asked.yaml"), environ, tmp_path, system) == Path("/asked.yaml")


def test_without_a_file_it_is_said_where_one_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_configuration(None, {}, tmp_path, tmp_path / "etc.yaml")
    for words in (
        f"{tmp_path}/ckanpackager.yaml",
        f"{tmp_path}/etc.yaml",
        "--config",
        "copy ckanpackager.yaml.example",
    ):
        assert words in str(caught.value)


def test_a_file_that_is_missing_or_a_directory_is_said_to_be_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ConfigError, match=f"^{path}: cannot be read: (No such file|Is a directory)"):
            load_settings(path, {})


# Engines and buckets


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("engine: celery\ncelery_broker: redis://x\n", "secret: missing"),
        ("engine: celery\ncelery_broker: redis://x\nsecret: change-me\n", "secret: missing, or published"),
        ("engine: celery\nsecret: long enough\n", "celery_broker: missing"),
        ("engine: celery\nsecret: long enough\ncelery_broker: amqp://x\n", "celery_result_backend: missing"),
        ("engine: celeri\n", "engine: "),
        ("packer_timeout: 0\n", "packer_timeout: "),
        ("store_url: https://bucket.example.org\n", "store_url: expected s3://BUCKET"),
        ("store_url: s3://bucket\nkeep_archives: 8\ndownload_url: null\n", "keep_archives: greater than 7 days"),
    ],
)
def test_what_engines_and_buckets_need_is_named(tmp_path: Path, settings: str, words: str) -> None:
    file = tmp_path / "ckanpackager.yaml"
    file.write_text(settings if "download_url" in settings else f"download_url: https://x.org\n{settings}")
    with pytest.raises(ConfigError, match=rf"ckanpackager.yaml:\d+: {words}"):
        load_settings(file, {})


@pytest.mark.parametrize(
    "settings",
    [
        "engine: celery\nsecret: long enough\ncelery_broker: redis://x\n",
        "engine: celery\nsecret: long enough\ncelery_broker: amqp://x\ncelery_result_backend: redis://x\n",
        "store_url: s3://bucket/a/prefix\nkeep_archives: 7\n",
        "store_url: az://container\nkeep_archives: 30\n",
        "store_url: gs://bucket\nkeep_archives: 30\ndownload_url: https://x.org\n",
        "celery_broker: redis://x\ndownload_url: https://x.org\n",
    ],
)
def test_engines_and_buckets_that_have_what_they_need_are_fine(tmp_path: Path, settings: str) -> None:
    file = tmp_path / "ckanpackager.yaml"
    file.write_text(settings if "url" in settings else f"download_url: https://x.org\n{settings}")
    load_settings(file, {})


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "proxy.example.org", "127.0.0.1:80", "*", "fe80::1%eth0"])
def test_a_trusted_proxy_is_an_address_or_a_network(tmp_path: Path, entry: str) -> None:
    (fault,) = faults(tmp_path, f"{NO_LINK}trusted_proxies: [127.0.0.1, '{entry}']")
    assert "trusted_proxies: expected addresses or networks, as in 10.0.0.0/8, got" in fault and entry in fault


def test_the_password_of_the_dashboard_may_come_from_the_environment(tmp_path: Path) -> None:
    settings = load(tmp_path, NO_LINK, CKANPACKAGER_DASHBOARD_PASSWORD="from outside")
    assert settings.receiver.dashboard_password == "from outside"
