"""Reading and checking parameters: from forms, JSON or shell words.  Pure: no files, no clock, no network."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote, urlsplit

import msgspec

from ckanpackager.errors import BadRequest, did_you_mean
from ckanpackager.jobs import email_address
from ckanpackager.jobs.faults import got, in_words
from ckanpackager.jobs.request import TASKS, PackageUrl, Request

_KEPT_IN_URLS = "%/:?#[]@!$&'()*+,;=-._~"  # what RFC 3986 allows
_SECRET = ("key",)  # whose values no message quotes
DEEPEST = 50  # levels of lists and objects in a parameter


def request_from(
    task: str, parameters: Mapping[str, Any], *, strict: bool = False, with_requester: bool = True
) -> Request:
    """Make a request of a task's parameters: texts, as forms and shells have them, or JSON values.

    Empty parameters count as absent.  A parameter that no task knows is refused when its name is close to a known
    one, since it is probably a mistake; others are passed over, or refused too with `strict`.  A named package has no
    requester, so its `email` is empty.
    Raises BadRequest, naming every parameter that is wrong.
    """
    if (kind := TASKS.get(task)) is None:
        near = did_you_mean(task, TASKS, 0.8)
        meant = f"did you mean {near}?" if near else f"expected one of {', '.join(TASKS)}"
        raise BadRequest(f"unknown task {task!r}: {meant}")
    given = {
        name: value for name, value in parameters.items() if value is not None and (value != "" or name == "for_gbif")
    }
    if kind is PackageUrl and not strict and not _is_url(given.get("api_url")):
        given.pop("api_url", None)  # before it had a meaning, portals could send anything there
    faults = _unknown_parameters(task, given, strict)
    values: dict[str, Any] = {} if with_requester else {"email": ""}
    for field in msgspec.structs.fields(kind):
        if field.name in values:
            if field.name in given:
                faults.append(f"{field.name}: a named package has no requester")
        elif field.name in given:
            try:
                value = _CONVERT[field.name](given[field.name]) if field.name in _CONVERT else given[field.name]
                _check_json(value)
                values[field.name] = _converted(value, field.type)
                _check(field.name, values[field.name])
            except msgspec.ValidationError as error:
                faults.append(in_words(error, None if field.name in _SECRET else value, field.name))
            except ValueError as error:
                faults.append(f"{field.name}: {error}")
        elif field.required:
            faults.append(f"{field.name}: missing; {task} requires it")
    if faults:
        raise BadRequest("; ".join(faults))
    request = kind(**values)
    try:
        msgspec.json.encode(request)
    except ValueError as error:  # half of a surrogate pair, say, which no JSON file can hold
        raise BadRequest(f"parameters that cannot be written as JSON: {in_words(error)}") from None
    return request


def parameters_from_words(words: tuple[str, ...]) -> dict[str, str]:
    """PARAM:VALUE words of a shell, as a dictionary.  Raises BadRequest."""
    parameters = {}
    for word in words:
        name, colon, value = word.partition(":")
        if not colon or not name:
            raise BadRequest(f"{word!r}: expected PARAM:VALUE, as in email:someone@example.org")
        if name in parameters:
            raise BadRequest(f"{_quoted(name)}: given twice")
        parameters[name] = value
    return parameters


def check(request: Request, *, with_requester: bool = True) -> None:
    """Check what was read from a file as if it came from a caller.  Raises ValueError."""
    for name in request.__struct_fields__:
        if with_requester or name != "email":
            _check(name, getattr(request, name))


def _converted(value: Any, wanted: Any) -> Any:
    """A value as a parameter's type, also from text.  Raises ValueError, msgspec.ValidationError."""
    if get_origin(wanted) is Literal and value not in get_args(wanted):
        raise ValueError(f"expected {' or '.join(get_args(wanted))}, got {got(value)}")
    return msgspec.convert(value, wanted, strict=False)


def _unknown_parameters(task: str, given: Mapping[str, Any], strict: bool) -> list[str]:
    own = TASKS[task].__struct_fields__
    others = {name for kind in TASKS.values() for name in kind.__struct_fields__}
    faults = []
    for name in given:
        if name not in own and (strict or name not in others):
            near = did_you_mean(str(name), own, 0.8)
            if near or strict:
                said = f"did you mean {near}?" if near else f"it takes {', '.join(sorted(own))}"
                faults.append(f"{_quoted(name)}: {task} has no such parameter; {said}")
    return faults


def _quoted(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _json_if_text(value: Any) -> Any:
    """What forms can only send as text."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(in_words(error)) from None


def _names(value: Any) -> Any:
    """A list of field names, also as JSON text or separated by commas, as CKAN takes them."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _json_if_text(value)
    return [name.strip() for name in value.split(",")]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _sort(value: Any) -> Any:
    return _json_if_text(value) if isinstance(value, str) and value.lstrip().startswith("[") else value


def _quoted_as_browsers_do(value: Any) -> Any:
    """A URL with its blanks and other letters percent-encoded after the host; what is encoded already stays."""
    if not isinstance(value, str):
        return value
    text = re.sub(r"[\t\r\n]", "", value.strip())
    found = re.fullmatch(r"(https?://[^/?#]*)(.*)", text, re.IGNORECASE)
    return found[1] + quote(found[2], _KEPT_IN_URLS) if found and text.isprintable() else text


def _is_there(value: Any) -> bool:
    """The original took any value for yes, an empty one, too."""
    return value.strip().lower() not in ("false", "0", "no") if isinstance(value, str) else bool(value)


def _check(name: str, value: Any) -> None:
    if value is not None and name in _CHECK:
        _CHECK[name](value)


def _check_json(value: Any, depth: int = 0) -> None:
    """Nothing that JSON cannot hold, and nothing nested so deep that a reader of the job would run out of stack."""
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number in JSON")
    if isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_json(inner, depth + 1)


def _check_text(value: str) -> None:
    if not value.isprintable():
        raise ValueError("expected text without line breaks or control characters")


def _check_key(value: str) -> None:
    if not value.isprintable() or not value.isascii():
        raise ValueError("expected an API key in printable ASCII")


def _email(value: Any) -> Any:
    return email_address.trimmed(value) if isinstance(value, str) else value


def _check_email(value: str) -> None:
    email_address.parse(value)
    if not value.isprintable():
        raise ValueError("expected an e-mail address without control characters")


def _check_url(value: str) -> None:
    if not _is_url(value):
        raise ValueError("expected a URL that starts with http:// or https://")


def _is_url(value: Any) -> bool:
    try:
        url = urlsplit(value)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except (ValueError, TypeError, AttributeError):
        return False
    return usable and value.isprintable() and " " not in value


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "email": _email,
    "filters": _json_if_text,
    "fields": _names,
    "sort": _sort,
    "resource_url": _quoted_as_browsers_do,
    "for_gbif": _is_there,
    "format": _lower,
}
_CHECK: dict[str, Callable[[Any], None]] = {
    "resource_id": _check_text,
    "dataset_id": _check_text,
    "email": _check_email,
    "api_url": _check_url,
    "resource_url": _check_url,
    "key": _check_key,
    "doi": _check_text,
    "language": _check_text,
}
