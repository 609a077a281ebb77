"""The options of config_declaration.yaml, read when they are needed."""

from __future__ import annotations

import ckan.plugins.toolkit as tk

from ckanext.packager.client import Packager
from ckanext.packager.parameters import Portal

_FORM_TIMEOUT = 3  # seconds that the form waits to hear which formats there are


def _text(name: str) -> str:
    return str(tk.config.get(f"ckanext.packager.{name}") or "").strip()


def configured() -> bool:
    """Whether there is a packager to ask."""
    return bool(_text("url") and _text("secret"))


def packager() -> Packager:
    return Packager(_text("url"), _text("secret"), float(tk.config.get("ckanext.packager.timeout")))


def patient_packager() -> Packager:
    """The packager, for what a page can do without: it waits for a short time only."""
    found = packager()
    return found._replace(timeout=min(found.timeout, _FORM_TIMEOUT))


def portal() -> Portal:
    site_url = str(tk.config.get("ckan.site_url") or "").rstrip("/")
    root_path = str(tk.config.get("ckan.root_path") or "").replace("/{{LANG}}", "").rstrip("/")
    return Portal(site_url + root_path, _text("ckan_url") or site_url + root_path)


def api_token() -> str | None:
    return _text("api_token") or None


def formats() -> list[str]:
    return list(tk.aslist(tk.config.get("ckanext.packager.formats")))


def anonymous() -> bool:
    return bool(tk.asbool(tk.config.get("ckanext.packager.anonymous")))


def rate_limit() -> int:
    return int(tk.config.get("ckanext.packager.rate_limit"))


def trusted_proxies() -> int:
    return int(tk.config.get("ckanext.packager.trusted_proxies"))


def keep_jobs() -> int:
    return int(tk.config.get("ckanext.packager.keep_jobs"))


def refresh() -> bool:
    return bool(tk.asbool(tk.config.get("ckanext.packager.refresh")))
