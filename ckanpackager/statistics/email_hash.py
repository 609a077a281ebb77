"""E-mail addresses as hashes: how the statistics store them with `anonymize_emails`.  Pure.

`keyed` is HMAC-SHA256 (RFC 2104) with the site's key.  `bcrypt` is what the original stored: bcrypt of the address with
a salt made of its domain, so a database of the original goes on in it.  Both are of the address in lower case.
"""

import base64
import functools
import hmac
import re
from collections.abc import Callable

from ckanpackager.config.settings import Statistics
from ckanpackager.errors import ConfigError

Hash = Callable[[str], str]
_HASHED = re.compile(r"[0-9a-f]{64}|\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}")
_ROUNDS = 12  # as many as the original took: about a quarter of a second
_SALT_INPUT = 18  # characters: they make the 22 of a salt, and more
_MOST_BYTES = 72  # of an address: bcrypt reads no further
_REMEMBERED = 10_000
_ALPHABET = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"  # bcrypt's base 64


def hash_of(settings: Statistics) -> Hash | None:
    """How addresses are stored; None: as they are.  Raises ConfigError."""
    if not settings.anonymize_emails:
        return None
    if settings.anonymize_scheme == "bcrypt":
        return like_the_original()
    if not settings.anonymize_key:
        raise ConfigError("anonymize_emails needs anonymize_key")
    return keyed(settings.anonymize_key)


def keyed(key: str) -> Hash:
    """The hash by a key."""

    def hashed(email: str) -> str:
        return hmac.digest(key.encode(), email.strip().lower().encode(), "sha256").hex()

    return hashed


def like_the_original() -> Hash:
    """The original's hash.  Raises ConfigError if bcrypt is not installed."""
    try:
        import bcrypt
    except ImportError:
        raise ConfigError("anonymize_scheme: bcrypt is not installed; pip install 'ckanpackager[bcrypt]'") from None

    @functools.lru_cache(_REMEMBERED)
    def hashed(email: str) -> str:
        address = email.lower().encode()[:_MOST_BYTES]
        return bcrypt.hashpw(address, salt(email)).decode()

    return hashed


def salt(email: str) -> bytes:
    """The salt: the domain, zeros before it if it is short, in base 64, cut off.

    22 characters are 132 bits, and a salt has 128: the last four, which older bcrypts ignored, are zero.
    """
    address = email.lower()
    domain = address.partition("@")[2] if "@" in address else address
    text = base64.b64encode(domain.zfill(_SALT_INPUT).encode(), b"./")[:22]
    last = _ALPHABET[_ALPHABET.index(text[21]) & 0b110000]
    return b"$2b$%d$%s%c" % (_ROUNDS, text[:21], last)


def is_hashed(email: str) -> bool:
    """Whether a stored address is a hash of either kind."""
    return _HASHED.fullmatch(email) is not None
