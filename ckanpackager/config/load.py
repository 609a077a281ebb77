"""The configuration file: find it, read it, and report everything that is wrong with it at once, line by line.

The file is flat YAML; its keys are the fields of the sections of `settings.Settings`.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import fields

from ckanpackager.config import templates
from ckanpackager.config.settings import Settings, keys, trait, with_trait
from ckanpackager.config.yaml_reader import Fault, errors_in, quoted, read
from ckanpackager.errors import ConfigError
from ckanpackager.jobs import email_address

SYSTEM_FILE = Path("/etc/ckanpackager/ckanpackager.yaml")

PUBLISHED_SECRETS = frozenset({trait(keys()["secret"], "example"), "8ba6d280d4ce9a416e9b604f3f0ebb"})
"""Secrets that are public, here and in the README of the original: the receiver refuses them."""

_MAILBOX = re.compile(r'(?P<bare>[^<>{}]+)|("[^"\r\n{}]*" *|[^"<>@,:;\r\n{}]*)<(?P<address>[^<>{}]+)>')
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]{1,5})?")
_SQLITE_FILE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|file:)([^?]+)")
_SQLITE_MEMORY = re.compile(r"sqlite(\+\w+)?://(/(:memory:)?)?(\?.*)?")
_BUCKET = re.compile(r"(s3|gs|az)://[a-zA-Z0-9._-]+(/[^\s?#]*)?")
SIGNED_DAYS = 7  # S3 and Google Cloud Storage sign no link for longer (Signature Version 4)
_ODD = re.compile(r"[\s?#{}]")
_PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_URL = "expected a URL that starts with https:// or http://, without ?, # and placeholders"

DAY = 86400  # seconds
_Faults = Iterator[tuple[tuple[str, ...], str]]


def find_configuration(
    explicit: Path | None, environ: Mapping[str, str], cwd: Path, system: Path = SYSTEM_FILE
) -> Path:
    """The configuration file: the explicit one, else the first that exists in the usual places.  Raises ConfigError."""
    if named := explicit or environ.get("CKANPACKAGER_CONFIG"):
        return cwd / named
    local = cwd / "ckanpackager.yaml"
    for file in (local, system):
        if os.path.exists(file):
            return file
    raise ConfigError(
        f"no configuration: neither --config nor $CKANPACKAGER_CONFIG names one, and there is no {local} and no "
        f"{system}; copy ckanpackager.yaml.example to one of them and change it"
    )


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of the file at `path` and of the environment, their paths absolute.

    Raises ConfigError with everything that is wrong, one line a fault: `FILE:LINE: key: what is wrong`.
    """
    reading = read(path)
    variables = {name: environ.get(f"CKANPACKAGER_{name.upper()}") for name in with_trait("environment")}
    values = reading.values | {name: value for name, value in variables.items() if value}
    wrong = {re.split(r"[.\[]", fault.key)[0] for fault in reading.faults}
    settings = _settings({key: value for key, value in values.items() if key not in wrong})
    for concerned, words in cross_checks(settings):
        if wrong.isdisjoint(concerned):  # else it is a default that was checked
            line = next((reading.lines[key] for key in concerned if key in reading.lines), 0)
            reading.faults.append(Fault(line, concerned[0], words))
    if reading.faults:
        raise errors_in(path, reading.faults)
    return _absolute(settings, path.absolute().parent)


def _settings(values: Mapping[str, Any]) -> Settings:
    return msgspec.convert({section.name: values for section in fields(Settings)}, Settings)  # each takes its own


def cross_checks(settings: Settings) -> _Faults:
    """What is wrong with values of the right types: the keys concerned, the faulty one first, and words."""
    yield from _mail_checks(settings)
    yield from _engine_checks(settings)
    yield from _url_checks(settings)
    first, last = settings.spool.retry_delay, settings.spool.retry_delay_max
    if first > last:
        yield ("retry_delay", "retry_delay_max"), f"{first:g} is greater than retry_delay_max, {last:g}"
    if settings.archives.cache_time > settings.archives.keep_archives * DAY:
        words = "longer than keep_archives, so that links to archives that are removed already would be sent"
        yield ("cache_time", "keep_archives"), words
    for key in ("allowed_hosts", "ckan_hosts"):
        for host in getattr(settings.ckan, key) or ():
            if _is_host(host):
                continue
            yield (key,), f"expected host or host:port, no scheme and no path, got {quoted(host)}"
    for proxy in settings.receiver.trusted_proxies:
        if not _is_network(proxy):
            yield ("trusted_proxies",), f"expected addresses or networks, as in 10.0.0.0/8, got {quoted(proxy)}"
    if settings.archives.zip_command is not None:
        for words in _command_checks(settings.archives.zip_command):
            yield ("zip_command",), words
    for words in _named_checks(settings.named.named_packages):
        yield ("named_packages",), words
    statistics = settings.statistics
    if "://" not in statistics.stats_db or _SQLITE_MEMORY.fullmatch(statistics.stats_db):
        yield ("stats_db",), "expected the SQLAlchemy URL of a database on disk or server, as in sqlite:///stats.db"
    keyed = statistics.anonymize_emails and statistics.anonymize_scheme == "keyed"
    if keyed and not statistics.anonymize_key:
        yield ("anonymize_key", "anonymize_emails"), "missing, and anonymize_emails needs it"


def _engine_checks(settings: Settings) -> _Faults:
    engine, archives = settings.engine, settings.archives
    if engine.engine == "celery":
        if not settings.receiver.secret or settings.receiver.secret in PUBLISHED_SECRETS:
            yield ("secret", "engine"), "missing, or published; engine: celery encrypts with it what goes to packers"
        if not engine.celery_broker:
            yield ("celery_broker", "engine"), "missing, and engine: celery needs it"
        elif not (
            engine.celery_result_backend or re.match(r"(redis|rediss|redis\+socket|sentinel)://", engine.celery_broker)
        ):
            yield ("celery_result_backend", "celery_broker"), "missing; only a broker that is Redis takes reports, too"
    if archives.store_url is None:
        return
    if not _BUCKET.fullmatch(archives.store_url):
        yield ("store_url",), "expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
    elif not settings.mail.download_url and archives.keep_archives > SIGNED_DAYS and archives.store_url[:2] != "az":
        yield (
            ("keep_archives", "store_url"),
            f"greater than {SIGNED_DAYS} days, for which a link to a bucket can be signed at most; keep archives for "
            f"{SIGNED_DAYS} days, or set download_url, the URL under which the bucket is served",
        )


def _named_checks(packages: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Names become file names, schedules must be understood; the tasks' parameters are checked where they are used."""
    for name, values in packages.items():
        if not _PACKAGE_NAME.fullmatch(name):
            yield f"{quoted(name)}: expected a name of small letters, digits and hyphens, 64 at most"
        refresh = values.get("refresh")
        if refresh is not None:
            from ckanpackager.config import schedule  # rarely needed, and the receiver must start fast

            try:
                schedule.parse(str(refresh))
            except ValueError as error:
                yield f"{name}.refresh: {error}"


def _url_checks(settings: Settings) -> _Faults:
    receiver, portal = settings.receiver, settings.portal
    urls = {"public_url": receiver.public_url, "portal_url": portal.portal_url, "portal_logo": portal.portal_logo}
    for key, url in urls.items():
        if not _is_url(url):
            yield (key,), _URL
    if settings.mail.email_accepted and receiver.public_url is None:
        yield ("public_url", "email_accepted"), "missing, and email_accepted mails the address of the job page"


def _mail_checks(settings: Settings) -> _Faults:
    mail, needs_url = settings.mail, settings.mail.download_url is None and settings.archives.store_url is None
    not_in_doi = [name for name in templates.PLACEHOLDERS if not name.startswith("doi_body")]
    for key, kind in with_trait("template").items():
        template = getattr(mail, key) or ""
        for words in templates.check(template, not_in_doi if kind == "doi" else templates.PLACEHOLDERS):
            yield (key,), words
        if trait(keys()[key], "single_line") and template.splitlines() != [template]:
            yield (key,), "expected a single line"
        if kind == "link" and needs_url and "download_url" in templates.placeholders(template):
            yield (
                ("download_url", key),
                "missing; the link in mails needs the URL under which store_directory is served",
            )
    if not _is_url(mail.download_url):
        yield ("download_url",), _URL
    faults = templates.check(mail.email_from, templates.IN_SENDER)
    for words in faults:
        yield ("email_from",), words
    if not faults and not _is_mailbox(templates.render(mail.email_from, dict.fromkeys(templates.IN_SENDER, "x"))):
        yield ("email_from",), "expected one address, as in: Data portal <data@example.org>"
    if bool(mail.smtp_login) != bool(mail.smtp_password):
        there, missing = ("smtp_login", "smtp_password") if mail.smtp_login else ("smtp_password", "smtp_login")
        yield (missing, there), f"missing, and {there} is set"


def _command_checks(command: str) -> Iterator[str]:
    yield from templates.check(command, ("input", "output"))
    for name in sorted({"input", "output"} - templates.placeholders(command)):
        yield f"{{{name}}} is missing"
    try:
        import shlex

        shlex.split(command)
    except ValueError:
        yield "a quote is not closed, or the last backslash stands before nothing"


def _is_mailbox(text: str) -> bool:
    found = _MAILBOX.fullmatch(text)
    try:
        return found is not None and bool(email_address.parse(found["bare"] or found["address"]))
    except ValueError:
        return False


def _is_host(entry: str) -> bool:
    try:
        return _HOST.fullmatch(entry) is not None and urlsplit(f"//{entry}").port != 0
    except ValueError:  # of a port over 65535, or an address that is none
        return False


def _is_network(entry: str) -> bool:
    from ipaddress import ip_network  # here: most receivers trust no proxy, and should start fast

    try:
        return "%" not in entry and bool(ip_network(entry, strict=False))
    except ValueError:
        return False


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
    values = {
        key: getattr(section, key)
        for section in (getattr(settings, section.name) for section in fields(Settings))
        for key in section.__struct_fields__
    }
    values |= {key: _ABSOLUTE[kind](values[key], base) for key, kind in with_trait("path").items() if values[key]}
    values |= {key: values[key].rstrip("/") for key in with_trait("url") if values[key]}
    return _settings(values)


def _path_at(path: str, base: Path) -> str:
    return os.path.normpath(base / os.path.expanduser(path))


def _definition_at(named: str, base: Path) -> str:
    """A path, unless it is the bare name of a definition that comes with the program."""
    return _path_at(named, base) if re.search(r"[/.~]", named) else named


_ABSOLUTE: dict[str, Callable[[Any, Path], Any]] = {
    "directory": _path_at,
    "log": lambda target, base: target if target == "syslog" else _path_at(target, base),
    "definition": _definition_at,
    "definitions": lambda names, base: [_definition_at(name, base) for name in names],
    "extension_fields": lambda entries, base: {
        name: entry | {"extension": _definition_at(entry["extension"], base)} for name, entry in entries.items()
    },
    "database": lambda url, base: _SQLITE_FILE.sub(lambda found: found[1] + _path_at(found[2], base), url),
}
"""How a value of each kind of path becomes absolute."""
