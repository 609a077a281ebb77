"""CKAN's datastore, asked for all the rows of a search: `search` gives the fields, the total and the pages."""

from ckanpackager.ckan.pages import Field, Number, Page
from ckanpackager.ckan.search import Search, search, show

__all__ = ["Field", "Number", "Page", "Search", "search", "show"]
