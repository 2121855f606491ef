"""docker-compose.yml, checked without Docker: against the specification, the Procfile and the Dockerfile."""

import importlib.resources
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from config import prepare
from launcher.procfile import PROCFILE, parse

ROOT = PROCFILE.parent
# `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, and `$$` for a dollar.
INTERPOLATION = re.compile(r"\$\$|\$\{(\w+)(?::([-?])([^}]*))?\}")
SECRETS = {
    "SECRET_KEY": "key",
    "POSTGRES_PASSWORD": "word-1",
    "VALKEY_PASSWORD": "word-2",
    "FLOWER_BASIC_AUTH": "a:b",
}
ENGINES = {"postgres", "valkey", "proxy"}
WITHOUT_PROCFILE = {"migrate", "worker"}


def interpolate(value: Any, variables: dict[str, str]) -> Any:
    """What Compose makes of a value; KeyError for a variable that is required and missing."""
    if isinstance(value, dict):
        return {key: interpolate(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables) for item in value]
    return (
        INTERPOLATION.sub(lambda match: _replacement(match, variables), value)
        if isinstance(value, str)
        else value
    )


def _replacement(match: re.Match[str], variables: dict[str, str]) -> str:
    name, kind, text = match.groups()
    if name is None:
        return "$"
    if found := variables.get(name):
        return found
    if kind == "?":
        raise KeyError(name)
    return text or ""


def read() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture
def services() -> dict[str, Any]:
    return interpolate(read(), SECRETS)["services"]


def test_it_follows_the_compose_specification():
    vendored = importlib.resources.files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads(vendored.joinpath("compose-spec.json").read_text())
    jsonschema.validate(interpolate(read(), SECRETS), schema)


@pytest.mark.parametrize("name", SECRETS)
def test_it_does_not_start_without_a_password(name):
    given = {key: value for key, value in SECRETS.items() if key != name}
    with pytest.raises(KeyError, match=name):
        interpolate(read(), given)


def test_the_example_environment_names_every_variable():
    named = set(re.findall(r"(?m)^(\w+)=", (ROOT / ".env.example").read_text()))
    used = {
        match[1] for match in INTERPOLATION.finditer((ROOT / "docker-compose.yml").read_text()) if match[1]
    }
    assert used <= named


def test_it_runs_every_process_of_the_procfile_by_its_name(services):
    names = {entry.name for entry in parse(PROCFILE.read_text())} - {"proxy"}
    started = {name: service["command"] for name, service in services.items()}
    assert {name: started[name] for name in names} == {name: [name] for name in names}
    assert set(services) == names | ENGINES | WITHOUT_PROCFILE


def test_the_scalable_worker_takes_from_every_queue_like_the_others_do(services, settings):
    words = services["worker"]["command"]
    assert words[words.index("-Q") + 1].split(",") == list(settings.QUEUES)
    one_queue = next(entry.command for entry in parse(PROCFILE.read_text()) if entry.name == "worker-orders")
    assert set(one_queue.split()) - {"celery", "orders", "orders@%h"} <= set(words)


def test_every_process_that_stays_has_a_health_check(services):
    without = {name for name, service in services.items() if "healthcheck" not in service}
    assert without == {"migrate"}


def test_processes_wait_for_healthy_engines_and_finished_migrations(services):
    for name, service in services.items():
        if name in ENGINES | {"migrate"}:
            continue
        conditions = {on: wish["condition"] for on, wish in service["depends_on"].items()}
        assert conditions == {
            "postgres": "service_healthy",
            "valkey": "service_healthy",
            "migrate": "service_completed_successfully",
        }


def test_dependencies_and_volumes_exist(services):
    volumes = set(read()["volumes"])
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        named = {volume.split(":")[0] for volume in service.get("volumes", []) if not volume.startswith(".")}
        assert named <= volumes


def test_processes_find_each_other_by_the_names_of_their_services(services):
    for variable, name in {"SANDBOX_URL": "sandbox", "LIVE_URL": "live"}.items():
        assert urlsplit(services["web"]["environment"][variable]).hostname == name
        assert name in services


def test_migrations_run_where_nothing_can_be_written(services, settings, db, tmp_path):
    settings.DATA_DIR, settings.STATIC_ROOT = tmp_path / "none", tmp_path / "none" / "static"
    assert (services["migrate"]["entrypoint"], settings.DEBUG) == (["python", "-m", "config.prepare"], False)

    prepare.main()

    assert not settings.STATIC_ROOT.exists()


def test_our_processes_have_no_privileges(services):
    for name in set(services) - ENGINES:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"] is True


@pytest.mark.parametrize("entry", parse(PROCFILE.read_text()), ids=lambda entry: entry.name)
def test_each_command_is_understood_by_its_program(entry, image_environment):
    """With `--help` behind it: options come before it, so an unknown one fails."""
    program = shutil.which(entry.command.split()[0], path=image_environment["PATH"])
    assert program, entry.command
    if entry.name == "sandbox":
        pytest.skip("takes no options")
    words = subprocess.run(
        [sys.executable, "-c", EXPAND, entry.command],
        env=image_environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    _is_understood([program, *words[1:]], image_environment)


def test_the_scalable_worker_starts_with_its_command(services, image_environment):
    _is_understood(["celery", *services["worker"]["command"]], image_environment)


def _is_understood(argv: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*argv, "--help"], env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_process_is_refused_by_name(image_environment):
    done = subprocess.run(
        [sys.executable, "-m", "launcher.procfile", "nobody"],
        env=image_environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "no 'nobody'" in done.stderr


EXPAND = """
import os, sys
from config import prepare
from launcher.procfile import expand
print("\\n".join(expand(sys.argv[1], os.environ)[0]))
"""


@pytest.fixture
def image_environment() -> dict[str, str]:
    """The variables that the Dockerfile sets, over our own."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").split("\nFROM ")[-1]
    lines = re.findall(r"(?m)^ENV (.*)$", text)
    image = dict(pair.split("=", 1) for line in lines for pair in line.split())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Its folders exist in the image only.
    return os.environ | image | {"PATH": path, "DATA_DIR": os.environ["DATA_DIR"]}
