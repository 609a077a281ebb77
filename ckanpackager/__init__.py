"""Packs CKAN resources into ZIP archives and mails their links."""

__version__ = "2.0.0"
