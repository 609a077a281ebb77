"""E-mail addresses: one rule for requests, mails and the configuration.  Pure."""

import re

_LOCAL_PART = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff@<>()\[\]\\,;:\"]{1,64}")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_LONGEST = 254  # characters (RFC 5321, 4.5.3.1.3)
_INVISIBLE = "\u200b\u2060\ufeff"  # zero-width blanks


def trimmed(text: str) -> str:
    """An address as pasted, without the blanks around it."""
    return text.strip().strip(_INVISIBLE).strip()


def parse(text: str) -> tuple[str, str]:
    """The part before the @, and the domain as the DNS has it, of exactly one address.  Raises ValueError."""
    local, _, domain = text.rpartition("@")
    ascii_domain = _ascii(domain.lower())
    labels = ascii_domain.split(".")
    whole = len(local) + 1 + len(ascii_domain)
    if whole > _LONGEST or not _LOCAL_PART.fullmatch(local) or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("expected one e-mail address, as in someone@example.org")
    return local, ascii_domain


def comparable(text: str) -> str:
    """An address in the one form that all its spellings have: without case, and the domain as the DNS has it."""
    if text.isascii():
        return text.lower()
    try:
        local, domain = parse(text)
    except ValueError:
        return text.lower()
    return f"{local.lower()}@{domain}"


def _ascii(domain: str) -> str:
    """The domain in ASCII (RFC 5891); an empty one if there is none.

    Python's "idna" codec follows RFC 3490, which takes straße.example for strasse.example: another domain.
    """
    if domain.isascii():
        return domain
    import idna  # rarely needed, and the receiver must start fast

    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return ""
