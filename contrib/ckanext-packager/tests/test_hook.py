"""IPackager: other plugins look at requests before they go to the packager."""

import re
from pathlib import Path

import pytest
from ckan import plugins
from ckan.plugins import toolkit as tk
from ckan.tests import helpers

from ckanext.packager.interfaces import IPackager
from ckanext.packager.logic import action as module

from .conftest import Client, action

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def hook(monkeypatch):
    """The plugin of the README."""
    text = README.read_text(encoding="utf-8")
    code = re.search(r"^    import ckan\.plugins as plugins\n.*?\n\n(?=    \{%)", text, re.M | re.S).group()
    names = {}
    exec(re.sub(r"^    ", "", code, flags=re.M), names)
    found = names["OurPlugin"]()
    assert plugins.IConfigurer.implemented_by(names["OurPlugin"])
    assert IPackager.implemented_by(names["OurPlugin"])
    if hasattr(found, "deactivate"):  # in CKAN 2.10 an instance is active from the start, and would stay so
        found.deactivate()
    real = module.plugins.PluginImplementations
    chosen = lambda interface: [found] if interface is IPackager else real(interface)  # noqa: E731
    monkeypatch.setattr(module.plugins, "PluginImplementations", chosen)
    return found


@pytest.fixture
def own_form(tmp_path, ckan_config, monkeypatch):
    """A portal whose form has the README's field."""
    text = README.read_text(encoding="utf-8")
    template = re.search(r"^    \{% ckan_extends %\}\n.*?endblock %\}\n", text, re.M | re.S).group()
    path = tmp_path / "packager" / "snippets" / "request_form.html"
    path.parent.mkdir(parents=True)
    path.write_text(re.sub(r"^    ", "", template, flags=re.M))
    monkeypatch.setitem(ckan_config, "extra_template_paths", str(tmp_path))
    return Client(helpers._get_test_app())


def test_a_plugin_can_add_a_field_and_refuse_by_it(packager, hook, own_form, table):
    url = f"/download-request/resource/{table['id']}"
    assert "Three and four make" in own_form.get(url).words
    page = own_form.post(url, {"email": "a@example.org", "sum": "8"}, 400)
    assert "Please solve the sum." in page.words
    assert page.field("email") == "a@example.org"
    assert packager.requests() == []
    own_form.post(url, {"email": "a@example.org", "sum": "7"}, 302)
    assert len(packager.requests()) == 1


def test_a_script_has_no_form_and_may_be_let_through(packager, hook, table):
    action("packager_request", resource_id=table["id"], email="a@example.org")
    assert len(packager.requests()) == 1


def test_a_plugin_sees_the_validated_request(packager, table, hook):
    seen = []
    hook.before_packager_request = lambda context, data_dict, form: seen.append((data_dict, form))
    action("packager_request", resource_id=table["id"], email=" a@example.org ", filters='{"Country": "Kenya"}')
    expected = {"resource_id": table["id"], "email": "a@example.org", "filters": {"Country": ["Kenya"]}}
    assert seen == [(expected, None)]


def test_a_plugin_may_say_not_authorized(packager, table, hook):
    def refuse(context, data_dict, form):
        raise tk.NotAuthorized("not today")

    hook.before_packager_request = refuse
    with pytest.raises(tk.NotAuthorized):
        action("packager_request", resource_id=table["id"], email="a@example.org")
    assert packager.requests() == []
