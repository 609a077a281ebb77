"""How to cite the data of an archive, after DataCite's recommendation: creator, year, title, publisher, identifier."""

from datetime import datetime

from ckanpackager.metadata.dataset import Dataset, Resource


def citation(dataset: Dataset, resource: Resource | None, doi: str, accessed: datetime) -> str:
    """One sentence after the other; `doi` is the request's own, before the dataset's."""
    author = dataset.person("author")
    creator = (author.name if author else "") or dataset.publisher
    year = dataset.created[:4] if dataset.created[:4].isdecimal() else ""
    by = f"{creator} ({year})" if creator and year else creator or year
    title = dataset.title
    if resource and resource.title not in (title, resource.id):
        title += f": {resource.title}"
    if dataset.version:
        title += f" (version {dataset.version})"
    publisher = dataset.publisher if dataset.publisher != creator else ""
    identifier = doi or dataset.doi
    where = f"https://doi.org/{identifier}" if identifier else (resource.page if resource else "") or dataset.page
    parts = [by, f"{title} [Data set]", publisher, where, f"Accessed {accessed:%Y-%m-%d}"]
    return " ".join(part if part.endswith(".") else f"{part}." for part in parts if part)
