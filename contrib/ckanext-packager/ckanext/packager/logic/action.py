"""The actions: `packager_request`, `packager_status`, `packager_statistics`."""

from __future__ import annotations

import logging
import re
from typing import Any

import ckan.plugins.toolkit as tk
from ckan import model, plugins
from sqlalchemy.exc import SQLAlchemyError

from ckanext.packager import access, parameters, rate_limit, settings, statistics
from ckanext.packager import model as jobs
from ckanext.packager.client import NotOffered, PackagerError, Unavailable
from ckanext.packager.interfaces import IPackager
from ckanext.packager.logic import schema

log = logging.getLogger(__name__)
JOB = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")


def packager_request(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """Request an archive of a resource or of a whole dataset; its link is mailed.

    :param resource_id: the resource, or
    :param dataset_id: the dataset
    :param email: who gets the link (optional for users: default is their own address)
    :param format: of tables: one of those that this portal offers (optional)
    :param filters: rows to select, as for `datastore_search` (optional; resources in the DataStore only)
    :param q: search, `plain` and `language`: as for `datastore_search` (optional)
    :rtype: dictionary with `job`, `message` and, if the packager has public pages of jobs, `status_url`
    """
    form = context.pop("packager_form", None)
    data = _validated(context, data_dict)
    tk.check_access("packager_request", context, data)
    if not settings.configured():
        raise _invalid(tk._("Downloads cannot be requested: this portal has no download service configured"))
    call, resource_id, dataset_id = _call(context, data)
    for plugin in plugins.PluginImplementations(IPackager):
        plugin.before_packager_request(context, data, form)
    _limit_rate(context)
    reply = _send(call)
    job = str(reply.get("job") or "")
    status_url = reply.get("status_url")
    if job and (user := model.User.get(context["user"]) if context.get("user") else None):
        _remember(job, user.id, resource_id, dataset_id, status_url)
    answer = {"job": job, "message": str(reply.get("msg") or reply.get("message") or "")}
    return {**answer, "status_url": status_url} if status_url else answer


@tk.side_effect_free
def packager_status(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """How a job stands; without `job`, how the whole service stands (sysadmins).

    :param job: the id that `packager_request` returned (optional)
    :rtype: dictionary with `state`: waiting, running, done, expired, failed, cancelled; and what goes with it
    """
    tk.check_access("packager_status", context, data_dict)
    job = data_dict.get("job")
    if job and not JOB.fullmatch(str(job)):
        raise tk.ObjectNotFound(tk._("There is no such request"))
    try:
        reply = settings.packager().post("/status", **({"job": str(job)} if job else {}))
    except PackagerError as error:
        if job and not isinstance(error, Unavailable):  # 400: "there is no such job"
            raise tk.ObjectNotFound(tk._("There is no such request")) from None
        raise _invalid(words(error)) from error
    return {name: value for name, value in reply.items() if name not in ("success", "status", "msg")}


@tk.side_effect_free
def packager_statistics(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    """How often resources were downloaded.

    :param organization_id: only the resources of this organization (optional; required unless you are a sysadmin)
    :rtype: dictionary with `resources`: list of `id`, `name`, `dataset`, `requests`, `emails` and `errors`, the most
        requested first; and `total`: `requests`, `errors` and, for the whole portal, `emails`
    """
    tk.check_access("packager_statistics", context, data_dict)
    try:
        return statistics.figures(settings.packager(), data_dict.get("organization_id"))
    except PackagerError as error:
        raise _invalid(words(error)) from error


def words(error: PackagerError) -> str:
    """What a person should read: the packager's own words where they are for people."""
    if isinstance(error, Unavailable):
        log.error("The packager: %s (HTTP %s)", error, error.status)
        return tk._("The download service cannot be reached just now. Please try again in a few minutes.")
    if isinstance(error, NotOffered):
        return tk._("The download service does not offer this.")
    return str(error)


def _validated(context: dict[str, Any], data_dict: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in data_dict.items() if value not in ("", None)}  # False says something
    if "email" not in data_dict and context.get("user") and (user := model.User.get(context["user"])):
        given["email"] = user.email
    data, errors = tk.navl_validate(given, schema.request(), context)
    if bool(data.get("resource_id")) == bool(data.get("dataset_id")):
        errors["resource_id"] = [tk._("Name either a resource or a dataset")]
    if errors:
        raise tk.ValidationError(errors)
    return data


def _call(context: dict[str, Any], data: dict[str, Any]) -> tuple[parameters.Call, str | None, str]:
    """The request to send, and the ids of its resource and dataset."""
    user = {"user": context.get("user", "")}
    file_format = data.get("format", "")
    if file_format and file_format not in settings.formats():
        raise tk.ValidationError({"format": [tk._("This portal does not offer this format")]})
    try:
        if not data.get("resource_id"):
            package = tk.get_action("package_show")(user, {"id": data["dataset_id"]})
            if file_format == parameters.DARWIN_CORE:
                raise tk.ValidationError({"format": [tk._("A whole dataset cannot have this format")]})
            key = access.key_for_dataset(user, package)
            call = parameters.for_dataset(
                settings.portal(), package["id"], data["email"], file_format=file_format, key=key
            )
            return call, None, package["id"]
        resource = tk.get_action("resource_show")(user, {"id": data["resource_id"]})
        if not parameters.downloadable(resource):
            raise _invalid(tk._("This resource has nothing to download."))
        package = tk.get_action("package_show")(user, {"id": resource["package_id"]})
        call = parameters.for_resource(
            settings.portal(),
            resource,
            data["email"],
            query={name: data[name] for name in ("filters", "q", "plain", "language") if name in data},
            file_format=file_format,
            doi=str(package.get("doi") or ""),
            key=access.key_for_resource(resource["id"]),
        )
    except access.NoKey:
        raise _invalid(
            tk._("This data is private, and the download service has no access to it. Please ask the administrators.")
        ) from None
    return call, resource["id"], package["id"]


def _limit_rate(context: dict[str, Any]) -> None:
    user = model.User.get(context["user"]) if context.get("user") else None
    if not tk.request or (user and user.sysadmin):
        return
    try:
        rate_limit.count_request()
    except rate_limit.TooMany:
        raise _invalid(tk._("Too many requests came from your address. Please try again in an hour.")) from None


def _send(call: parameters.Call) -> dict[str, Any]:
    try:
        return settings.packager().post(call.path, **call.parameters)
    except PackagerError as error:
        field = "email" if str(error).startswith("email:") else "packager"
        raise tk.ValidationError({field: [words(error)]}) from error


def _remember(job: str, user_id: str, resource_id: str | None, dataset_id: str, status_url: str | None) -> None:
    """The packager has the job already: that the table is missing must not look like a refusal."""
    try:
        jobs.remember(job, user_id=user_id, resource_id=resource_id, dataset_id=dataset_id, status_url=status_url)
    except SQLAlchemyError as error:
        model.Session.rollback()
        log.error("A request is not in 'Your downloads'; run `ckan db upgrade -p packager`? (%s)", error)


def _invalid(text: str) -> tk.ValidationError:
    return tk.ValidationError({"packager": [text]})
