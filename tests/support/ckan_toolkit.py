"""Just enough of CKAN, as modules of their own, for the code of contrib/ckanext-packager to run without CKAN.

`contrib/ckanext-packager/test.sh` runs the extension's own tests inside a real CKAN.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from sqlalchemy.orm import declarative_base

EXTENSION = Path(__file__).parents[2] / "contrib" / "ckanext-packager"
OPTIONS = {
    "ckan.site_url": "https://data.example.org",
    "ckanext.packager.formats": ["csv", "xlsx", "dwca"],
    "ckanext.packager.anonymous": True,
    "ckanext.packager.timeout": 10,
    "ckanext.packager.rate_limit": 0,
}
OURS = ("ckan", "ckanext", "redis")  # the packages whose modules are replaced, and imported anew


class NotAuthorized(Exception):
    """CKAN's refusal."""


class ValidationError(Exception):
    """CKAN's list of what is wrong."""

    def __init__(self, error_dict: dict[str, list[str]]) -> None:
        super().__init__(error_dict)
        self.error_dict = error_dict


class StubToolkit:
    """What `ckan.plugins.toolkit` is to the actions: options, other actions, and the rights of one person.

    Attributes:
        config: the options.
        actions: the answers of CKAN's own actions, by name and id.
        denied: what cannot be read, by (user, id); the user "" is the public.
    """

    NotAuthorized = NotAuthorized
    ValidationError = ValidationError
    ObjectNotFound = LookupError
    Invalid = ValueError
    request = None

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = OPTIONS | config
        self.actions: dict[tuple[str, str], Any] = {}
        self.denied: set[tuple[str, str]] = set()
        self.BaseModel = declarative_base()

    def get_action(self, name: str) -> Callable[[Any, dict[str, Any]], Any]:
        return lambda _context, data: self.actions[name, data["id"]]

    def check_access(self, _action: str, context: dict[str, Any], data: dict[str, Any]) -> None:
        for named in ("id", "resource_id", "dataset_id"):
            if (context.get("user", ""), data.get(named)) in self.denied:
                raise NotAuthorized

    def aslist(self, value: Any) -> Any:
        return value

    asbool = aslist

    def navl_validate(self, data: dict[str, Any], _schema: Any, _context: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict(data), {}

    def get_validator(self, name: str) -> str:
        return name

    def _(self, text: str) -> str:
        return text

    def side_effect_free(self, action: Any) -> Any:
        return action


@contextmanager
def stub_ckan(**config: Any) -> Iterator[StubToolkit]:
    """Put the stand-ins in the place of CKAN; everything is as before afterwards."""
    toolkit = StubToolkit({f"ckanext.packager.{name}": value for name, value in config.items()})
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in OURS}
    for name in before:
        del sys.modules[name]
    user = SimpleNamespace(get=lambda _name: None)
    stand_ins: dict[str, dict[str, Any]] = {
        "ckan": {},
        "ckan.model": {"User": user},
        "ckan.lib": {},
        "ckan.lib.redis": {"connect_to_redis": None},
        "ckan.plugins": {"toolkit": toolkit, "PluginImplementations": lambda _interface: []},
        "ckan.plugins.interfaces": {"Interface": object},
        "redis": {},
        "redis.exceptions": {"RedisError": OSError},
    }
    for name, members in stand_ins.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    sys.modules["ckan.plugins.toolkit"] = toolkit  # type: ignore[assignment]
    sys.path.insert(0, str(EXTENSION))
    try:
        yield toolkit
    finally:
        sys.path.remove(str(EXTENSION))
        for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
            del sys.modules[name]
        sys.modules.update(before)
