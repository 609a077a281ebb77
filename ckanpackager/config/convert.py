"""The original's settings as a configuration of ours: commented YAML, and what could not be carried over.  Pure.

Every option keeps its name, in lower case.  An option that the file does not set had a default; where ours differs and
data or links depend on it, the original's is written down.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import msgspec
import yaml

from ckanpackager.config import python_file
from ckanpackager.config.example import comment
from ckanpackager.config.load import PUBLISHED_SECRETS
from ckanpackager.config.python_file import Setting
from ckanpackager.config.settings import keys, trait
from ckanpackager.jobs.faults import in_words

_DATA = "/var/lib/ckanpackager"
_DEFAULTS: dict[str, Any] = {
    "STATS_DB": f"sqlite:///{_DATA}/stats.db",
    "STORE_DIRECTORY": "/tmp/ckanpackager",  # noqa: S108 - where its links lead
    "DWC_EXTENSION_FIELDS": {
        "associatedMedia": {
            "extension": "multimedia",
            "fields": dict.fromkeys(("type", "format", "identifier", "title", "license", "rightsHolder"), ""),
            "mappings": {"format": "mime"},
            "formatters": {"format": "image/{}"},
        }
    },
}
"""Defaults of the original that ours differ from, and that archives or statistics depend on."""

_SHIPPED = {
    "dwc_occurrence.xml": "occurrence",
    "multimedia.xml": "multimedia",
    "measurements_or_facts.xml": "measurement_or_fact",
}
"""The definitions that came with the original, and the names of ours."""

_EXPLAINED = {
    "PAGE_SIZE": "not carried over: small pages are slow, since each page costs CKAN more than the one before. Unset, "
    "pages grow as far as the width of the rows and the speed of the server allow.",
    "CELERY_BROKER": "needed only with `engine: celery`. Without it, jobs are files in spool_directory, and no broker "
    "has to run.",
    "WORKERS": "not carried over: /status only reported this number. It counts the workers at work now; `workers` "
    "says how many there may be, by queue.",
    "REQUESTS_PER_WORKER": "not carried over: `ckanpackager process --max-jobs` ends a worker after so many jobs.",
    "SENTRY_DSN": "not carried over: errors go to standard error, to `log` (syslog or a file) and into the statistics; "
    "`ckanpackager check` ends with 1 when jobs have failed, for any monitoring.",
}
_CELERY = "not carried over: an option of Celery; `ckanpackager process` is the worker"
_LINK = re.compile(r"(https?://[^\s\"'<>{}]+?)/\{zip_file_name\}")


class Note(NamedTuple):
    """What an administrator should look at: the line of the Python file, or 0; the option; words."""

    line: int
    name: str
    words: str


class Conversion(NamedTuple):
    """The configuration as YAML, and what to look at."""

    text: str
    notes: list[Note]


def convert(source: bytes, name: str) -> Conversion:
    """Convert the Python file `name` with this content.  Raises ConfigError if it is no Python."""
    converter = _Converter(python_file.read(source, name), name)
    return Conversion("\n".join(converter.lines()) + "\n", converter.notes)


class _Converter:
    """Writes the lines of the new file, and collects the notes."""

    def __init__(self, file: python_file.PythonFile, name: str) -> None:
        self._file = file
        self._name = name
        self._options = {setting.name: setting for setting in file.settings}
        self._types = {key.name: key.type for key in keys().values()}
        self.notes: list[Note] = []

    def lines(self) -> list[str]:
        lines = [f"# Converted from {PurePosixPath(self._name).name} by `ckanpackager config convert`."]
        for setting in self._file.settings:
            lines += ["", *setting.comments, *self._option(setting)]
        for option, default in _DEFAULTS.items():
            if option not in self._options:
                words = f"{option} is not set, so this is the original's default."
                lines += ["", *_remark(words), *_entry(option.lower(), default)]
        lines += self._spool()
        lines += self._link()
        for skipped in self._file.skipped:
            self.notes.append(Note(skipped.line, "", skipped.words))
            lines += ["", *_remark(f"Line {skipped.line} is not carried over: {skipped.words}")]
        return [*lines, *(["", *self._file.last_comments] if self._file.last_comments else [])]

    def _option(self, setting: Setting) -> list[str]:
        key = setting.name.lower()
        if setting.unclear is not None:
            return self._lost(setting, f"not carried over: {setting.unclear}")
        if setting.name in _EXPLAINED:
            self.notes.append(Note(setting.line, setting.name, _EXPLAINED[setting.name]))
            value = (_entry if setting.name == "CELERY_BROKER" else _commented)(key, setting.value)
            return [*_remark(_EXPLAINED[setting.name]), *value]
        if key not in self._types:
            return self._lost(setting, _CELERY if key.startswith("celery") else "no option of the original")
        shown = None if trait(keys()[key], "secret") else setting.value
        try:
            value, words = _adapted(setting.name, setting.value)
            if value is not None:
                converted = msgspec.convert(value, self._types[key], strict=False)
                value = value if value == converted else converted  # 86400 rather than 86400.0
        except (ValueError, msgspec.ValidationError) as error:
            return self._lost(setting, f"not carried over: {' '.join(in_words(error, shown).split())}")
        if words:
            self.notes.append(Note(setting.line, setting.name, words))
        more = ["anonymize_scheme: bcrypt"] if setting.name == "ANONYMIZE_EMAILS" and value else []
        entry = _commented(key, setting.value) if value is None and setting.value is not None else _entry(key, value)
        return [*_remark(words), *entry, *more]

    def _lost(self, setting: Setting, words: str) -> list[str]:
        self.notes.append(Note(setting.line, setting.name, words))
        return _remark(f"{setting.name} (line {setting.line}): {words}")

    def _spool(self) -> list[str]:
        """Beside the database, where the original's user may write."""
        setting = self._options.get("STATS_DB")
        url = setting.value if setting and isinstance(setting.value, str) else _DEFAULTS["STATS_DB"]
        path = re.fullmatch(r"sqlite:///(/.+)/[^/]+", url)
        directory = path[1] if path else _DATA
        return ["", *_remark("a new key: the jobs are files in this directory."), f"spool_directory: {directory}/spool"]

    def _link(self) -> list[str]:
        """download_url as the mails have it; and no HTML part where the original had none of its own."""
        bodies = {
            name: self._options[name].value for name in ("EMAIL_BODY", "EMAIL_BODY_HTML") if name in self._options
        }
        text = "\n".join(value for value in bodies.values() if isinstance(value, str))
        lines = []
        if isinstance(bodies.get("EMAIL_BODY"), str) and "EMAIL_BODY_HTML" not in bodies:
            lines += ["", *_remark("EMAIL_BODY_HTML is not set: the mail is plain text."), "email_body_html: null"]
        if found := _LINK.search(text):
            words = "a new key: where the web server serves store_directory, as the link in the mail has it."
            return [*lines, "", *_remark(words), f"download_url: {found[1]}"]
        words = "set it to the URL under which the web server serves store_directory"
        self.notes.append(Note(0, "download_url", words))
        return [*lines, "", *_remark(f"a new key: {words}."), "#download_url: https://data.example.org/downloads"]


def _adapted(name: str, value: Any) -> tuple[Any, str]:  # noqa: PLR0911 - a case each
    """The value as ours has it, or None to leave it to the default; and words about the change."""
    match name:
        case "SECRET" if value in PUBLISHED_SECRETS:
            return None, "this secret is published, so the receiver refuses it; set one of your own, here and in CKAN"
        case "ZIP_COMMAND" if isinstance(value, str) and re.fullmatch(r"\S*zip( -\w+)* \{output\} \{input\}", value):
            return None, "not needed: rows are zipped as they arrive, which is faster and needs no room for the file"
        case "ZIP_COMMAND":
            return value, "rows are written to files for this command; unset, they are zipped as they arrive, faster"
        case "EMAIL_FROM" if isinstance(value, str) and "@" not in value:
            return None, f"{value!r} is no address; mail servers refuse such a sender, so set email_from"
        case "ANONYMIZE_EMAILS" if value is True:
            return value, "addresses go on being hashed as before: pip install 'ckanpackager[bcrypt]'"
        case "DWC_CORE_EXTENSION":
            return _definition(value)
        case "DWC_ADDITIONAL_EXTENSIONS" if isinstance(value, list):
            found = [_definition(path) for path in value]
            return [path for path, _ in found], next((words for _, words in found if words), "")
        case "DWC_EXTENSION_FIELDS" if isinstance(value, dict):
            return _extension_fields(value)
    return value, ""


def _definition(path: Any) -> tuple[Any, str]:
    name = _SHIPPED.get(PurePosixPath(path).name) if isinstance(path, str) else None
    return (name, f"{name} comes with ckanpackager; name {path} to keep that file's terms") if name else (path, "")


def _extension_fields(value: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Each field with the parts that we know; defaults are texts."""
    adapted, said = {}, []
    for field, entry in value.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("fields"), dict):
            raise ValueError(f"{field}: expected extension and fields")
        extension, words = _definition(entry.get("extension"))
        defaults = {term: None if text is None else str(text) for term, text in entry["fields"].items()}
        parts = {part: entry[part] for part in ("mappings", "formatters") if entry.get(part)}
        adapted[field] = {"extension": extension, "fields": defaults, **parts}
        said += [words] if words else []
    return adapted, "; ".join(said)


def _remark(text: str) -> list[str]:
    """Words of ours, told apart from the comments that the file had."""
    return comment(f"Note: {text}") if text else []


def _commented(key: str, value: Any) -> list[str]:
    return [f"#{line}" for line in _entry(key, value)]


def _entry(key: str, value: Any) -> list[str]:
    text = yaml.dump({key: value}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text.rstrip("\n").split("\n")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    block = "\n" in text and not text.endswith("\n\n")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if block else None)


_Dumper.add_representer(str, _text)


def notes_in_lines(conversion: Conversion, name: str) -> Iterator[str]:
    """The notes as a compiler writes them: `FILE:LINE: OPTION: words`."""
    for note in conversion.notes:
        place = f"{name}:{note.line}" if note.line else name
        yield ": ".join(part for part in (place, note.name, note.words) if part)
