"""The configuration file: find it, read it, and say everything that is wrong with it at once, line by line.

The file is flat YAML; its keys are the fields of the sections of `settings.Settings`.  What a value must look like
stands there too, beside its description.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import fields

from ckanpackager.config import templates
from ckanpackager.config.example import TO_BE_SET
from ckanpackager.config.settings import Mail, Settings
from ckanpackager.config.yaml_reader import Fault, errors_in, read, shown
from ckanpackager.errors import ConfigError

SYSTEM_FILE = Path("/etc/ckanpackager/ckanpackager.yaml")

PUBLISHED_SECRETS = frozenset({TO_BE_SET["secret"], "8ba6d280d4ce9a416e9b604f3f0ebb"})
"""Secrets that everybody can read, here and in the README of the original: the receiver refuses them."""

FROM_ENVIRONMENT = ("secret", "smtp_login", "smtp_password", "stats_db", "anonymize_key")
"""Keys that a variable may set, named `CKANPACKAGER_` and the key in capitals; it goes before the file."""

_PATHS = ("spool_directory", "store_directory", "temp_directory", "mail_directory")
_SUBJECTS = ("email_subject", "email_failure_subject")
_WITH_LINK = ("email_subject", "email_body", "email_body_html")
_MAILS = (*_WITH_LINK, "email_failure_subject", "email_failure_body", "email_failure_body_html")
_DOI_BODIES = ("doi_body", "doi_body_html")

_ADDRESS = r"[^\s<>()@,:;\"{}]+@[^\s<>()@,:;\"{}]+"
_MAILBOX = re.compile(rf'{_ADDRESS}|("[^"\r\n{{}}]*" *|[^"<>@,:;\r\n{{}}]*)<{_ADDRESS}>')
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,5})?")
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|file:)([^?]+)")
_SQLITE_MEMORY = re.compile(r"sqlite(\+\w+)?://(/(:memory:)?)?(\?.*)?")
_ODD = re.compile(r"[\s?#{}]")
_URL = "expected a URL that starts with https:// or http://, without ?, # and placeholders"

_Doubts = Iterator[tuple[tuple[str, ...], str]]


def find_configuration(
    explicit: Path | None, environ: Mapping[str, str], cwd: Path, system: Path = SYSTEM_FILE
) -> Path:
    """The configuration file: the one asked for, else the first of the usual places that has one, else ConfigError."""
    if named := explicit or environ.get("CKANPACKAGER_CONFIG"):
        return cwd / named
    places = (cwd / "ckanpackager.yaml", system)
    for place in places:
        if os.path.exists(place):
            return place
    raise ConfigError(
        f"no configuration: neither --config nor $CKANPACKAGER_CONFIG names one, and there is no {places[0]} and no "
        f"{places[1]}; copy ckanpackager.yaml.example to one of them and change it"
    )


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the file at `path` and of the environment, their paths absolute.

    Raises ConfigError with everything that is wrong, one line a fault: `FILE:LINE: key: what is wrong`.
    """
    reading = read(path)
    variables = {key: environ.get(f"CKANPACKAGER_{key.upper()}") for key in FROM_ENVIRONMENT}
    values = reading.values | {key: value for key, value in variables.items() if value}
    wrong = {re.split(r"[.\[]", fault.key)[0] for fault in reading.faults}
    settings = _settings({key: value for key, value in values.items() if key not in wrong})
    for keys, words in _doubts(settings):
        if wrong.isdisjoint(keys):  # else a default was looked at, in place of what is wrong
            line = next((reading.lines[key] for key in keys if key in reading.lines), 0)
            reading.faults.append(Fault(line, keys[0], words))
    if reading.faults:
        raise errors_in(path, reading.faults)
    return _absolute(settings, path.absolute().parent)


def _settings(values: Mapping[str, Any]) -> Settings:
    return msgspec.convert({section.name: values for section in fields(Settings)}, Settings)  # each takes its own


def _doubts(settings: Settings) -> _Doubts:
    """What is wrong with values of the right types: the keys it is about, the one to blame first, and words."""
    yield from _mail_doubts(settings.mail)
    if not _is_url(settings.receiver.public_url):
        yield ("public_url",), _URL
    first, last = settings.spool.retry_delay, settings.spool.retry_delay_max
    if first > last:
        yield ("retry_delay", "retry_delay_max"), f"{first:g} is greater than retry_delay_max, {last:g}"
    for host in settings.ckan.allowed_hosts or ():
        if not _HOST.fullmatch(host):
            yield ("allowed_hosts",), f"expected host or host:port, no scheme and no path, got {shown(host)}"
    if settings.archives.zip_command is not None:
        for words in _command_doubts(settings.archives.zip_command):
            yield ("zip_command",), words
    statistics = settings.statistics
    if "://" not in statistics.stats_db or _SQLITE_MEMORY.fullmatch(statistics.stats_db):
        yield ("stats_db",), "expected the SQLAlchemy URL of a database on disk or server, as in sqlite:///stats.db"
    if statistics.anonymize_emails and not statistics.anonymize_key:
        yield ("anonymize_key", "anonymize_emails"), "missing, and anonymize_emails needs it"


def _mail_doubts(mail: Mail) -> _Doubts:
    own = [name for name in templates.PLACEHOLDERS if name not in _DOI_BODIES]  # these cannot stand in themselves
    for key in (*_MAILS, *_DOI_BODIES):
        template = getattr(mail, key) or ""
        for words in templates.check(template, own if key in _DOI_BODIES else templates.PLACEHOLDERS):
            yield (key,), words
        if key in _SUBJECTS and template.splitlines() != [template]:
            yield (key,), "expected a single line"
        if key in _WITH_LINK and mail.download_url is None and "download_url" in templates.placeholders(template):
            yield (
                ("download_url", key),
                "missing; the link in mails needs the URL under which store_directory is served",
            )
    if not _is_url(mail.download_url):
        yield ("download_url",), _URL
    if not _MAILBOX.fullmatch(mail.email_from):
        yield ("email_from",), "expected one address, without placeholders, as in: Data portal <data@example.org>"
    if bool(mail.smtp_login) != bool(mail.smtp_password):
        there, missing = ("smtp_login", "smtp_password") if mail.smtp_login else ("smtp_password", "smtp_login")
        yield (missing, there), f"missing, and {there} is set"


def _command_doubts(command: str) -> Iterator[str]:
    yield from templates.check(command, ("input", "output"))
    for name in sorted({"input", "output"} - templates.placeholders(command)):
        yield f"{{{name}}} is missing"
    try:
        import shlex

        shlex.split(command)
    except ValueError:
        yield "a quote is not closed, or the last backslash stands before nothing"


def _is_url(url: str | None) -> bool:
    if url is None:
        return True
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not _ODD.search(url)
    except ValueError:  # of a port that is no number, or over 65535
        return False


def _absolute(settings: Settings, base: Path) -> Settings:
    """The settings with each relative path taken from `base`, and no slash at the end of a URL."""

    def at(path: str) -> str:
        return os.path.normpath(base / os.path.expanduser(path))

    def definition(named: Any) -> Any:
        """A path, unless it is the bare name of a definition that comes with the program."""
        return at(named) if named and re.search(r"[/.~]", named) else named

    values = {
        key: getattr(section, key)
        for section in (getattr(settings, section.name) for section in fields(Settings))
        for key in section.__struct_fields__
    }
    values |= {key: at(values[key]) for key in _PATHS if values[key]}
    values["log"] = values["log"] and (values["log"] if values["log"] == "syslog" else at(values["log"]))
    values["dwc_core_extension"] = definition(values["dwc_core_extension"])
    values |= {key: values[key].rstrip("/") for key in ("download_url", "public_url") if values[key]}
    values["stats_db"] = _SQLITE_FILE.sub(lambda found: found[1] + at(found[2]), values["stats_db"])
    values["dwc_additional_extensions"] = [definition(path) for path in values["dwc_additional_extensions"]]
    values["dwc_extension_fields"] = {
        name: entry | {"extension": definition(entry["extension"])}
        for name, entry in values["dwc_extension_fields"].items()
    }
    return _settings(values)
