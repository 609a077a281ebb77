"""Packs CKAN resources into ZIP archives and mails their links."""

__version__ = "1.0.0"
