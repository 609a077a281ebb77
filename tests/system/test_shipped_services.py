"""contrib/celery and contrib/docker: what is shipped for packers and containers names what there is."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from ckanpackager.cli.main import cli
from ckanpackager.config.load import load_settings
from ckanpackager.jobs.request import QUEUES
from ckanpackager.receiver.application import PUBLISHED_SECRETS

CONTRIB = Path(__file__).parents[2] / "contrib"
DOCKER = CONTRIB / "docker"
PACKER = "celery -A ckanpackager.celery worker --queues " + ",".join(QUEUES)
ENVIRON = {
    "CKANPACKAGER_SECRET": "a secret",
    "CKANPACKAGER_STATS_DB": "postgresql+psycopg://ckanpackager:x@postgresql/ckanpackager",
    "CKANPACKAGER_CELERY_BROKER": "redis://redis:6379/0",
}


@pytest.fixture
def services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    return services


def test_the_packers_that_are_shipped_take_jobs_of_every_queue(services: dict[str, Any]) -> None:
    assert PACKER in (CONTRIB / "celery" / "ckanpackager-packer.service").read_text()
    assert services["packer"]["command"].startswith(PACKER)


def test_the_containers_run_commands_that_exist(services: dict[str, Any]) -> None:
    words = "\n".join(str(service.get("command", "")) for service in services.values())
    commands = set(re.findall(r"ckanpackager (?:-q )?([a-z]+)", words))
    assert commands == {"process", "clean"} and commands <= set(cli.list_commands(click.Context(cli)))
    assert '"serve", "--host", "0.0.0.0"' in (DOCKER / "Dockerfile").read_text()


def test_the_containers_get_what_their_configuration_needs_from_the_environment(
    services: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("receiver", "dispatcher", "packer", "housekeeping"):
        assert services[name]["environment"].keys() == ENVIRON.keys()
    file = tmp_path / "ckanpackager.yaml"
    file.write_text((DOCKER / "ckanpackager.yaml.example").read_text())
    settings = load_settings(file, ENVIRON)
    assert settings.engine.engine == "celery" and settings.receiver.secret not in PUBLISHED_SECRETS
    for volume in (settings.spool.spool_directory, settings.archives.store_directory):
        assert any(f":{volume}" in mounted for mounted in services["dispatcher"]["volumes"])
    assert any(f":{settings.archives.store_directory}" in mounted for mounted in services["packer"]["volumes"])


def test_the_image_runs_as_a_user_of_its_own_and_says_how_it_is(services: dict[str, Any]) -> None:
    last = (DOCKER / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert "\nUSER ckanpackager\n" in last and "HEALTHCHECK" in last and "/health" in last
    assert "pip" not in last and "gcc" not in last
