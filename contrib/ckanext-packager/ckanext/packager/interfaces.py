"""What other plugins can add to a request."""

from __future__ import annotations

from typing import Any

from ckan.plugins.interfaces import Interface


class IPackager(Interface):
    """Look at requests before they go to the packager: for a CAPTCHA, a quota, a list of addresses."""

    def before_packager_request(
        self, context: dict[str, Any], data_dict: dict[str, Any], form: dict[str, str] | None
    ) -> None:
        """Let the request pass, or raise `toolkit.ValidationError`, whose words the person reads beside the form.

        Args:
            context: CKAN's.
            data_dict: the validated request: `resource_id` or `dataset_id`, `email`, `format` and so on.
            form: all fields that the page's form sent, your own among them (block `packager_form_extra` of
                `packager/snippets/request_form.html`); None if a script called the action.
        """
