"""The compose file of a node fits the specification, and runs what `make cluster` runs on one."""

import importlib.resources
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from launcher.procfile import PROCFILE, parse

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "docker-compose.node.yml"
NEEDED = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")


@pytest.fixture
def document() -> dict[str, Any]:
    return yaml.safe_load(NEEDED.sub("something", FILE.read_text().replace("$$", "$")))


def test_it_follows_the_compose_specification(document) -> None:
    vendored = importlib.resources.files("check_jsonschema.builtin_schemas.vendor")
    jsonschema.validate(document, json.loads(vendored.joinpath("compose-spec.json").read_text()))


def test_it_runs_every_process_of_a_node_and_its_engines(document) -> None:
    processes = {entry.name for entry in parse((ROOT / "cluster" / "Procfile").read_text())}
    assert set(document["services"]) == processes | {"valkey", "nats"}


def test_the_worker_takes_from_every_queue(document, settings) -> None:
    command = document["services"]["worker"]["command"]
    assert set(command[command.index("-Q") + 1].split(",")) == set(settings.QUEUES)


def test_each_process_starts_by_its_name_or_by_an_entry_point_of_its_own(document) -> None:
    """What is behind the image's entry point is a name in the Procfile."""
    names = {entry.name for entry in parse(PROCFILE.read_text())}
    for service, wanted in document["services"].items():
        if wanted["image"] == "orders" and "entrypoint" not in wanted:
            assert wanted["command"] == [service]
            assert service in names


def test_no_process_has_the_health_check_of_web_but_web(document) -> None:
    ours = {name: wanted for name, wanted in document["services"].items() if wanted["image"] == "orders"}
    assert {name for name, wanted in ours.items() if "8001" in str(wanted["healthcheck"]["test"])} == {"web"}


def test_no_password_is_in_a_command(document) -> None:
    """Valkey gets its own by standard input, before its arguments; NATS in a file."""
    for service in yaml.safe_load(FILE.read_text())["services"].values():
        assert "PASSWORD" not in " ".join(service["command"]).partition("exec <<END")[0]
    assert (
        "PASSWORD" not in " ".join(document["services"]["valkey"]["command"]).partition(" valkey-server ")[2]
    )


def test_nats_writes_to_disk_before_it_acknowledges(document) -> None:
    assert "sync_interval: always" in document["configs"]["nats"]["content"]


def test_probes_reach_live_by_its_name() -> None:
    environment = yaml.safe_load(FILE.read_text())["x-process"]["environment"]
    assert urlsplit(environment["LIVE_URL"]).hostname in environment["ALLOWED_HOSTS"].split(",")


def test_providers_come_from_the_environment_file(document) -> None:
    ours = [service for service in document["services"].values() if service["image"] == "orders"]
    assert all(service["env_file"] == [{"path": ".env", "required": False}] for service in ours)


def test_nothing_that_is_secret_or_differs_from_node_to_node_has_a_default() -> None:
    text = FILE.read_text()
    for name in (
        "SECRET_KEY",
        "DATABASE_URL",
        "VALKEY_PASSWORD",
        "NATS_PASSWORD",
        "NATS_ROUTE_PASSWORD",
        "NODE_ID",
    ):
        assert f"${{{name}:?" in text, name


def test_our_processes_have_no_privileges(document) -> None:
    ours = [service for service in document["services"].values() if service["image"] == "orders"]
    assert len(ours) == 6
    for service in ours:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert {"mem_limit", "pids_limit"} <= set(service)
