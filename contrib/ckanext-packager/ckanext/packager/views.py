"""The pages."""

from __future__ import annotations

import base64
from typing import Any

import ckan.plugins.toolkit as tk
from flask import Blueprint, session
from sqlalchemy.exc import SQLAlchemyError

from ckanext.packager import forms, settings, statistics
from ckanext.packager import model as jobs
from ckanext.packager.client import PackagerError, Unavailable

blueprint = Blueprint("packager", __name__)
_SAID = "packager_said"  # in the session: what the packager said to the newest requests
_MOST_SAID = 5
_MOST_JOBS = 20  # on "Your downloads"


@blueprint.route("/download-request/resource/<resource_id>", methods=["GET", "POST"])
def request_resource(resource_id: str) -> Any:
    """Request a resource, or the rows of it that are selected."""
    user = {"user": forms.user_name()}
    try:
        resource = tk.get_action("resource_show")(dict(user), {"id": resource_id})
        package = tk.get_action("package_show")(dict(user), {"id": resource["package_id"]})
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return tk.abort(404, tk._("Resource not found"))
    return _request(package, resource)


@blueprint.route("/download-request/dataset/<dataset_id>", methods=["GET", "POST"])
def request_dataset(dataset_id: str) -> Any:
    """Request everything of a dataset."""
    try:
        package = tk.get_action("package_show")({"user": forms.user_name()}, {"id": dataset_id})
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return tk.abort(404, tk._("Dataset not found"))
    return _request(package, None)


@blueprint.route("/download-request/job/<job>")
def show_job(job: str) -> Any:
    """How a request stands."""
    said = session.get(_SAID, {}).get(job, {})
    try:
        status, problem = tk.get_action("packager_status")({"user": forms.user_name()}, {"job": job}), ""
    except tk.ObjectNotFound:
        if not said:
            return tk.abort(404, tk._("There is no such request, or it is so long ago that it was removed."))
        status, problem = {}, ""
    except tk.ValidationError as error:
        status, problem = {}, _first(error.error_dict)
    return _job_page(job, status, said, problem)


@blueprint.route("/dashboard/downloads")
def downloads() -> Any:
    """What the person who is logged in has requested."""
    if not tk.current_user.is_authenticated:
        return _to_login()
    problem = ""
    try:
        found = jobs.jobs_of(tk.current_user.id, _MOST_JOBS)
    except SQLAlchemyError:
        jobs.model.Session.rollback()
        found, problem = [], tk._("The list of your downloads is not set up on this portal yet.")
    rows = []
    for row in found:
        status, said = _state(row.job) if not problem else ({}, "")
        problem = problem or said  # once the packager does not answer, the next rows need not wait, too
        rows.append({"row": row, "status": status, **_titles(row)})
    variables = {"rows": rows, "problem": problem, "keep": settings.keep_jobs(), "user_dict": _user_dict()}
    return tk.render("packager/downloads.html", extra_vars=variables)


@blueprint.route("/ckan-admin/downloads")
def portal_statistics() -> Any:
    """The figures of the whole portal."""
    return _statistics({}, "packager/portal_statistics.html", {})


@blueprint.route("/organization/downloads/<id>")
def organization_statistics(id: str) -> Any:
    """The figures of an organization."""
    try:
        group = tk.get_action("organization_show")({"user": forms.user_name()}, {"id": id})
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return tk.abort(404, tk._("Organization not found"))
    variables = {"group_dict": group, "group_type": group["type"]}
    return _statistics({"organization_id": group["id"]}, "packager/organization_statistics.html", variables)


def _request(package: dict[str, Any], resource: dict[str, Any] | None) -> Any:
    if not settings.anonymous() and not tk.current_user.is_authenticated:
        return _to_login()
    errors: dict[str, list[str]] = {}
    status = 200
    if tk.request.method == "POST" and "remove" not in tk.request.form:
        context = {"user": forms.user_name(), "packager_form": tk.request.form.to_dict()}
        try:
            answer = tk.get_action("packager_request")(context, forms.request_data(resource, package))
        except tk.NotAuthorized as error:
            errors, status = {"packager": [str(error)]}, 403
        except tk.ValidationError as error:
            errors = {field: said if isinstance(said, list) else [said] for field, said in error.error_dict.items()}
            status = 503 if isinstance(error.__cause__, Unavailable) else 400
        else:
            return _accepted(answer)
    form = forms.resource_form(resource) if resource else forms.dataset_form(package)
    variables = {**form, "pkg": package, "pkg_dict": package, "errors": errors, "fragment": _fragment()}
    page = tk.render(f"packager/{'snippets/request_form' if _fragment() else 'request'}.html", extra_vars=variables)
    return page, status


def _accepted(answer: dict[str, Any]) -> Any:
    """Go to the page of the job, which says what the packager said."""
    if not answer["job"]:  # the original ckanpackager names none
        return _job_page("", {}, {"message": answer["message"]}, "")
    said = dict(list(session.get(_SAID, {}).items())[-(_MOST_SAID - 1) :])
    said[answer["job"]] = {"message": answer["message"], "status_url": answer.get("status_url")}
    session[_SAID] = said
    return tk.redirect_to("packager.show_job", job=answer["job"])


def _job_page(job: str, status: dict[str, Any], said: dict[str, Any], problem: str) -> Any:
    variables = {"job": job, "status": status, "said": said, "problem": problem, "fragment": _fragment()}
    return tk.render(f"packager/{'snippets/job' if _fragment() else 'job'}.html", extra_vars=variables)


def _statistics(data: dict[str, Any], template: str, variables: dict[str, Any]) -> Any:
    problem, charts = "", []
    try:
        figures = tk.get_action("packager_statistics")({"user": forms.user_name()}, data)
    except tk.NotAuthorized:
        return tk.abort(403, tk._("You may not see these figures"))
    except tk.ValidationError as error:
        figures, problem = {"resources": [], "total": {}}, _first(error.error_dict)
    if not data and not problem:
        charts = _charts()
    return tk.render(template, extra_vars={**variables, **figures, "problem": problem, "charts": charts})


def _charts() -> list[dict[str, str]]:
    """The packager's charts as images, in which no script runs; none from a packager that draws none."""
    drawn = []
    for kind in statistics.CHARTS:
        try:
            svg = settings.patient_packager().chart(f"/statistics/{kind}")
        except PackagerError:
            break
        drawn.append({"kind": kind, "url": "data:image/svg+xml;base64," + base64.b64encode(svg).decode()})
    return drawn


def _state(job: str) -> tuple[dict[str, Any], str]:
    """How a job stands, or what keeps us from knowing."""
    try:
        return tk.get_action("packager_status")({"user": forms.user_name()}, {"job": job}), ""
    except tk.ObjectNotFound:
        return {"state": "unknown"}, ""
    except tk.ValidationError as error:
        return {}, _first(error.error_dict)


def _titles(row: Any) -> dict[str, Any]:
    """The names of what was requested, as far as the person may still see it."""
    try:
        package = tk.get_action("package_show")({"user": forms.user_name()}, {"id": row.dataset_id})
    except (tk.ObjectNotFound, tk.NotAuthorized):
        return {"package": None, "resource": None}
    found = [resource for resource in package["resources"] if resource["id"] == row.resource_id]
    return {"package": package, "resource": found[0] if found else None}


def _user_dict() -> dict[str, Any]:
    shown: dict[str, Any] = tk.get_action("user_show")({"user": forms.user_name()}, {"id": tk.current_user.id})
    return shown


def _to_login() -> Any:
    """To the page for logging in, and then back to this one, in the same language."""
    here = tk.h.url_for(tk.request.endpoint, **tk.request.view_args, **tk.request.args.to_dict())
    return tk.redirect_to("user.login", next=here)


def _fragment() -> bool:
    """Whether the page's script asks, which wants the inner part alone."""
    return tk.request.headers.get("X-Requested-With") == "XMLHttpRequest"


def _first(errors: dict[str, Any]) -> str:
    value = next(iter(errors.values()), "")
    return str(value[0] if isinstance(value, list) and value else value)
