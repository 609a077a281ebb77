"""What the placeholders of the mail templates stand for."""

from datetime import UTC, datetime
from urllib.parse import quote

from ckanpackager.config.settings import Settings
from ckanpackager.jobs.job import Job

NOTES_MAILED = 20  # at most; the archive's datapackage.json and the job's page have all of them


def mail_placeholders(job: Job, settings: Settings) -> dict[str, str]:
    """The values for a job, by name; those that do not apply are missing."""
    values = {
        "resource_id": job.request.resource_id,
        "ckan_host": job.request.host,
        "doi": getattr(job.request, "doi", None) or "",
        "job": job.id,
        "error": job.failure or "",
    }
    if settings.receiver.public_url:
        values["status_url"] = f"{settings.receiver.public_url.rstrip('/')}/jobs/{job.id}"
    if job.archive:
        values["zip_file_name"] = job.archive.name
        values["download_url"] = f"{(settings.mail.download_url or '').rstrip('/')}/{quote(job.archive.name)}"
        values["rows"] = "" if job.archive.rows is None else f"{job.archive.rows:,}"
        values["size"] = human_size(job.archive.size)
        expires = datetime.fromtimestamp(job.archive.published + settings.archives.keep_archives * 86400, UTC)
        values["expires"] = f"{expires:%Y-%m-%d %H:%M} UTC"
        values["notes"] = _summary(job.archive.notes)
    return values


def _summary(notes: tuple[str, ...]) -> str:
    more = len(notes) - NOTES_MAILED
    return "; ".join([*notes[:NOTES_MAILED], *([f"and {more:,} more"] if more > 0 else [])])


def human_size(size: float) -> str:
    """A number of bytes in decimal units, as download pages write it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{size} bytes"
        size /= 1000
    return f"{size:.3g} TB"
