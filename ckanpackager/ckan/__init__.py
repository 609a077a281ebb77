"""CKAN's datastore, asked for all the rows of a search: `search` gives the fields, the total and the pages."""

from ckanpackager.ckan.csv_text import Blocks
from ckanpackager.ckan.datastore import Search, search, show
from ckanpackager.ckan.responses import Field, Page

__all__ = ["Blocks", "Field", "Page", "Search", "search", "show"]
