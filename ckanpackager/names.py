"""Names of files and of what is in them: harmless, short, and each used once.  Pure."""

import re
from collections.abc import Callable
from itertools import chain, count

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\u202a-\u202e\u2066-\u2069]')  # Windows refuses some, bidi marks deceive
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices on Windows, not files
_NOT_IN_SLUGS = re.compile(r"[^a-z0-9._-]+")
_LONGEST = 200  # bytes of a file's name: file systems take 255


def unused(stem: str, suffix: str = "", *, taken: Callable[[str], bool], separator: str = "_") -> str:
    """`stem` and `suffix`, with a number between them from 2 on where the name is taken."""
    numbered = (f"{stem}{separator}{number}{suffix}" for number in count(2))
    return next(name for name in chain([stem + suffix], numbered) if not taken(name))


def slug(text: str) -> str:
    """A name of small letters, digits, and . _ - alone, as the Data Package standard wants it."""
    return _NOT_IN_SLUGS.sub("-", text.lower()).strip("-.") or "data"


def file_name(path: str) -> str:
    """The last part of a path, harmless on every file system; it may be empty."""
    base = _UNSAFE.sub("_", re.split(r"[/\\]", path)[-1]).strip(" .")
    base = f"_{base}" if _DEVICE.fullmatch(base) else base
    stem, dot, suffix = base.rpartition(".")
    if len(base.encode()) <= _LONGEST:
        return base
    suffix = dot + suffix if stem and len(suffix.encode()) <= 20 else ""
    return base.encode()[: _LONGEST - len(suffix.encode())].decode(errors="ignore").rstrip(" .") + suffix
