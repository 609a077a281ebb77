"""CKAN's datastore, asked for all the rows of a search: `search` gives the fields, the total and the pages."""

from ckanpackager.ckan.pages import Field, Number, Page
from ckanpackager.ckan.search import Search, search, show
from ckanpackager.ckan.text import Blocks

__all__ = ["Blocks", "Field", "Number", "Page", "Search", "search", "show"]
