"""`ckanpackager check`: values that work and should not stay, and a Python that is no longer cared for.  Pure."""

import stat
from collections.abc import Iterator
from datetime import date
from email.utils import parseaddr
from ipaddress import ip_network
from urllib.parse import urlsplit

from ckanpackager.config.load import PUBLISHED_SECRETS
from ckanpackager.config.settings import Settings
from ckanpackager.maintenance.finding import Finding, error, warning

_EXAMPLES = ("example.org", "example.com", "example.net", "example", "invalid")  # RFC 2606
_END_OF_LIFE = {  # when a Python gets no more security fixes (PEP 664, 693, 719, 745: five years after its release)
    (3, 11): date(2027, 10, 31),
    (3, 12): date(2028, 10, 31),
    (3, 13): date(2029, 10, 31),
    (3, 14): date(2030, 10, 31),
}


def values(settings: Settings) -> Iterator[Finding]:
    """Values that still stand as in the example, and lists that let every host in."""
    if settings.receiver.secret in PUBLISHED_SECRETS:
        yield error("secret: this one is published in the documentation, and the receiver refuses it; set your own")
    urls = {
        "download_url": settings.mail.download_url,
        "public_url": settings.receiver.public_url,
        "portal_url": settings.portal.portal_url,
        "portal_logo": settings.portal.portal_logo,
    }
    urls |= {f"named_packages.{name}": each.get("api_url") for name, each in settings.named.named_packages.items()}
    for key, url in urls.items():
        if is_example_host(url):
            yield warning(f"{key}: {url} is an example; set the address of your own")
    if settings.mail.mail_transport == "smtp":
        if _is_example(settings.mail.smtp_host):
            yield warning(f"smtp_host: {settings.mail.smtp_host} is an example; name your mail server")
        address = parseaddr(settings.mail.email_from)[1]
        if address == "nobody@localhost" or _is_example(address.rpartition("@")[2]):
            yield warning(f"email_from: mails from {address} are refused or lost; set an address of your own")
    for key in ("trusted_proxies", "metrics_hosts"):
        for entry in getattr(settings.receiver, key):
            if ip_network(entry, strict=False).prefixlen == 0:
                yield warning(f"{key}: {entry} is every host; name the addresses that are meant")


def is_example_host(url: object) -> bool:
    """Whether a URL names a host that is reserved for documentation."""
    return isinstance(url, str) and _is_example(urlsplit(url).hostname or "")


def _is_example(host: str) -> bool:
    name = host.lower().rstrip(".")
    return any(name == reserved or name.endswith(f".{reserved}") for reserved in _EXAMPLES)


def python(version: tuple[int, int], today: date) -> Iterator[Finding]:
    """A Python that gets no more security fixes."""
    if (end := _END_OF_LIFE.get(version)) is not None and today > end:
        yield warning(
            f"python: {version[0]}.{version[1]} has had no security fixes since {end:%B %Y}; install ckanpackager with "
            "a newer one"
        )


def readable_secrets(mode: int, path: str, secrets: list[str]) -> Iterator[Finding]:
    """A configuration file that all users of the machine may read, although secrets stand in it."""
    if secrets and mode & stat.S_IROTH:
        yield warning(
            f"{path}: every user may read it ({stat.filemode(mode)}), and {', '.join(secrets)} stands in it; chmod o= "
            f"{path}, and give it to the group of the users that run ckanpackager"
        )
