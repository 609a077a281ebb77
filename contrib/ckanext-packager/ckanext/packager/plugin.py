"""The plugin `packager`."""

from __future__ import annotations

from typing import Any

import ckan.plugins.toolkit as tk
from ckan import plugins
from ckan.lib.plugins import DefaultTranslation

from ckanext.packager import helpers, refresh, views
from ckanext.packager.logic import action, auth


@tk.blanket.config_declarations
class PackagerPlugin(plugins.SingletonPlugin, DefaultTranslation):
    """Request download: a button on the pages of resources and datasets, and what belongs to it."""

    plugins.implements(plugins.IConfigurer)
    plugins.implements(plugins.IConfigurable)
    plugins.implements(plugins.IActions)
    plugins.implements(plugins.IAuthFunctions)
    plugins.implements(plugins.IBlueprint)
    plugins.implements(plugins.ITemplateHelpers)
    plugins.implements(plugins.ITranslation)
    plugins.implements(plugins.IDomainObjectModification)

    def update_config(self, config: Any) -> None:
        tk.add_template_directory(config, "templates")
        tk.add_resource("assets", "packager")

    def configure(self, config: Any) -> None:
        refresh.listen()

    def get_actions(self) -> dict[str, Any]:
        return {
            "packager_request": action.packager_request,
            "packager_status": action.packager_status,
            "packager_statistics": action.packager_statistics,
        }

    def get_auth_functions(self) -> dict[str, Any]:
        return {
            "packager_request": auth.packager_request,
            "packager_status": auth.packager_status,
            "packager_statistics": auth.packager_statistics,
        }

    def get_blueprint(self) -> list[Any]:
        return [views.blueprint]

    def get_helpers(self) -> dict[str, Any]:
        return {
            "packager_offers_resource": helpers.offers_resource,
            "packager_offers_dataset": helpers.offers_dataset,
            "packager_request_url": helpers.request_url,
            "packager_number": helpers.number,
            "packager_size": helpers.size,
            "packager_date": helpers.date,
            "packager_configured": helpers.configured,
        }

    def notify(self, entity: Any, operation: Any) -> None:
        refresh.note(entity)
