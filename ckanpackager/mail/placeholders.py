"""What the placeholders of the mail templates stand for."""

from collections.abc import Mapping

from ckanpackager.config.settings import Mail, Settings
from ckanpackager.config.templates import PLACEHOLDERS, render
from ckanpackager.errors import one_line
from ckanpackager.jobs.job import Job
from ckanpackager.jobs.words import format_in_words, selection_of
from ckanpackager.metadata.query import query_on_a_line
from ckanpackager.status import archive_url, expiry, human_size, human_time

NOTES_MAILED = 20  # at most; the archive's datapackage.json and the job's page have all of them


def mail_placeholders(job: Job, settings: Settings, now: float) -> dict[str, str]:
    """The values for a job, by name; those that do not apply are missing."""
    values = {
        "resource_id": job.request.resource_id,
        "ckan_host": job.request.host,
        "doi": getattr(job.request, "doi", None) or "",
        "job": job.id,
        "status_url": settings.receiver.job_url(job.id),
        "error": job.public_failure or job.failure or "",
        "title": job.request.resource_id,
        "format": format_in_words(job.request),
        "query": query_on_a_line(selection_of(job.request)),
        "contact": settings.portal.contact or "",
        "portal_name": settings.portal.portal_name or job.request.host,
    }
    if archive := job.archive:
        values |= {
            "zip_file_name": archive.name,
            "download_url": archive_url(archive, settings, now),
            "rows": "" if archive.rows is None else f"{archive.rows:,}",
            "size": human_size(archive.size),
            "expires": human_time(expiry(archive, settings)),
            "notes": _summary(archive.notes),
            "sha256": archive.sha256,
            "title": archive.description.title or job.request.resource_id,
            "dataset_title": archive.description.dataset_title,
            "publisher": archive.description.publisher,
            "licence": archive.description.licence,
            "citation": archive.description.citation,
        }
    return values


def complete(values: Mapping[str, str], settings: Mail) -> dict[str, str]:
    """A value on one line for every placeholder, with `doi_body` and `doi_body_html` filled from their templates."""
    known = {name: one_line(values.get(name, "")) for name in PLACEHOLDERS}
    has_doi = bool(known["doi"])
    known["doi_body"] = render(settings.doi_body, known) if has_doi else ""
    known["doi_body_html"] = render(settings.doi_body_html, known, html=True) if has_doi else ""
    return known


def _summary(notes: tuple[str, ...]) -> str:
    more = len(notes) - NOTES_MAILED
    return "; ".join([*notes[:NOTES_MAILED], *([f"and {more:,} more"] if more > 0 else [])])
