"""docker-compose.yml, checked without Docker: against the specification, the Procfile and the Dockerfile."""

import importlib.resources
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
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
    "SECRET_KEY": "the-key",
    "POSTGRES_PASSWORD": "word-1",
    "DATABASE_PASSWORD": "word-3",
    "VALKEY_PASSWORD": "word-2",
    "FLOWER_BASIC_AUTH": "admin:word-4",
}
ENGINES = {"postgres", "valkey", "proxy"}
ONCE = {"roles", "migrate"}
WITHOUT_PROCFILE = {*ONCE, "worker"}
# Neither is ours to configure: it has variables of its own.
APART = {"sandbox", "roles"}


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
    assert without == ONCE


def test_processes_wait_for_healthy_engines_and_finished_migrations(services):
    for name, service in services.items():
        if name in ENGINES | ONCE | APART:
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


def test_the_image_runs_as_a_number_and_its_code_is_roots():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert not any(line.startswith(("VOLUME", "# syntax")) or "--chown" in line for line in lines)
    left_out = (ROOT / ".dockerignore").read_text().split()
    assert {"tests", "attacks", "bench", "chaos", "requirements*.txt", ".env"} <= set(left_out)


def test_the_image_has_the_packages_of_every_variable_in_the_example():
    installed = (ROOT / "requirements-image.txt").read_text()
    assert "COPY requirements-image.txt" in (ROOT / "Dockerfile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for requirement in [*extras["sign-in"], *extras["anymail"], *extras["otel"]]:
        assert re.search(rf"(?m)^{requirement.partition('>')[0]}==", installed), requirement


def test_the_image_has_the_versions_that_are_tested():
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"(?m)^([\w-]+)==(\S+)", (ROOT / name).read_text()))

    assert pins("requirements.txt").items() <= pins("requirements-image.txt").items()
    assert pins("requirements-image.txt").items() <= pins("requirements-dev.txt").items()


def test_our_processes_have_no_privileges(services):
    for name in set(services) - ENGINES:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"] is True
        assert "size=" in services[name]["tmpfs"][0]


def test_every_container_has_bounds(services):
    assert all({"mem_limit", "pids_limit"} <= set(service) for service in services.values())


def test_images_of_ours_are_built_and_never_pulled(services):
    policies = {name: service["pull_policy"] for name, service in services.items() if name not in ENGINES}
    assert {name for name, policy in policies.items() if policy == "build"} == {"roles"}
    assert set(policies.values()) == {"build", "never"}


def test_each_secret_is_only_where_it_is_needed(services):
    """A variable that is set to nothing hides the one that .env would bring."""

    def holders(secret: str) -> set[str]:
        return {
            name
            for name, service in services.items()
            if any(secret in str(value) for value in service.get("environment", {}).values())
        }

    ours = set(services) - ENGINES - APART
    assert services["flower"]["env_file"] == []
    assert holders("word-1") == {"postgres", "roles"}
    assert holders("word-2") == ours | {"valkey"}
    assert holders("word-3") == (ours - {"flower"}) | {"roles"}
    assert holders(SECRETS["SECRET_KEY"]) == ours - {"flower"}
    assert holders(SECRETS["FLOWER_BASIC_AUTH"]) == {"flower"}
    hidden = {"POSTGRES_PASSWORD", "VALKEY_PASSWORD", "SANDBOX_WEBHOOK_SECRET"}
    for name in ours - {"flower"}:
        assert services[name]["env_file"] == [{"path": ".env", "required": False}]
        assert hidden <= {key for key, value in services[name]["environment"].items() if value == ""}
    assert not any("env_file" in services[name] for name in ENGINES | APART)


def test_no_password_is_in_a_command(services):
    assert not any(
        secret in json.dumps(service.get("command", ""))
        for service in services.values()
        for secret in SECRETS.values()
    )
    assert "$VALKEY_PASSWORD" not in services["valkey"]["command"][-1].partition("valkey-server")[2]


def test_valkey_takes_the_place_of_its_shell_and_hears_the_signal_to_stop(services, tmp_path):
    """The command as it stands there, with a program in place of the image's script."""
    script = tmp_path / "docker-entrypoint.sh"
    script.write_text("#!/bin/sh\necho $$ $1\ncat\n")
    script.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    command = services["valkey"]["command"]
    with subprocess.Popen(
        command, env={"PATH": path, "VALKEY_PASSWORD": "a$b"}, stdout=subprocess.PIPE, text=True
    ) as started:
        output, _ = started.communicate()
    assert output == f'{started.pid} valkey-server\nrequirepass "a$b"\n'


def test_flower_needs_no_provider(services, image_environment):
    """Its settings load with what it gets: another gateway in .env is none of its business."""
    image = {name: image_environment[name] for name in ("PATH", "DATA_DIR")}
    loaded = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        env=image | services["flower"]["environment"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert loaded.returncode == 0, loaded.stderr


def test_the_sandbox_and_the_proxy_cannot_reach_the_engines(services):
    networks = {name: set(service["networks"]) for name, service in services.items()}
    assert networks["postgres"] == networks["valkey"] == {"engines"}
    assert read()["networks"]["engines"]["internal"] is True
    assert "engines" not in networks["sandbox"] | networks["proxy"]


@pytest.mark.parametrize("age", [None, 5, 300])
def test_a_silent_loop_is_found_by_its_file(services, tmp_path, age):
    """The check of workers, dispatcher and beat, as it stands there, on a file of that many seconds."""
    file = tmp_path / "heartbeat"
    if age is not None:
        file.touch()
        os.utime(file, (time.time() - age,) * 2)
    kind, command = services["dispatcher"]["healthcheck"]["test"]
    here = command.replace("/tmp/heartbeat", str(file))  # noqa: S108 - in the container
    done = subprocess.run(["sh", "-c", here], capture_output=True, check=False)
    assert (kind, done.returncode == 0) == ("CMD-SHELL", age == 5)


def test_processes_may_be_asked_by_the_names_that_they_have_here(services):
    hosts = services["live"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert urlsplit(services["web"]["environment"]["LIVE_URL"]).hostname in hosts


def settings_variables() -> set[str]:
    """The variables that the settings read."""
    modules = [ROOT / "config" / "environment.py", *(ROOT / "config" / "settings").glob("*.py")]
    text = "\n".join(module.read_text() for module in modules)
    readers = r"env\.\w+|number|whole|networks|rates|pairs|origins|web_address"
    return set(re.findall(rf"(?:{readers})\(\s*\"([A-Z_]+)\"", text))


def test_what_the_readme_names_is_read_somewhere():
    table = (ROOT / "README.md").read_text().partition("## Configuration")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z]{3,}(?:_[A-Z]+)*)`", table)) - {"FLOWER_BASIC_AUTH"}
    processes = set(re.findall(r"\$\{?([A-Z_]+)", (ROOT / "Procfile").read_text()))
    caddy = set(re.findall(r"\{\$([A-Z_]+)", (ROOT / "Caddyfile").read_text()))
    assert named <= settings_variables() | processes | caddy | {"PORT", "FLOWER_PORT", "HOST"}


def test_what_has_to_be_set_in_production_stands_in_the_example_and_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    example = (ROOT / ".env.example").read_text()
    needed = {
        "SECRET_KEY",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "DATABASE_PASSWORD",
        "PAYMENT_API_URL",
        "INVENTORY_API_URL",
        "EMAIL_SERVICE_URL",
        "ALLOW_SANDBOX",
        "PAYMENT_WEBHOOK_SECRETS",
        "METRICS_TOKEN",
        "HTTPS",
        "TRUSTED_PROXIES",
    }
    assert needed <= settings_variables()
    assert needed <= set(re.findall(r"(?m)^(\w+)=", example))
    assert needed <= set(re.findall(r"`([A-Z_]+)`", readme))


def test_the_example_names_nothing_that_nobody_reads():
    named = set(re.findall(r"(?m)^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text()))
    compose = {m[1] for m in INTERPOLATION.finditer((ROOT / "docker-compose.yml").read_text()) if m[1]}
    assert named <= settings_variables() | compose | set(
        re.findall(r"\$\{?([A-Z_]+)", (ROOT / "Procfile").read_text())
    )


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


# What compose sets itself, to the services beside it, and what `make run` alone uses.
NOT_IN_EXAMPLE = {"DATABASE_URL", "REDIS_URL", "REDIS_PASSWORD", "DATA_DIR", "DATABASE_POOLER"}


def test_every_variable_of_the_readme_has_its_line_in_the_example():
    example = (ROOT / ".env.example").read_text()
    table = (ROOT / "README.md").read_text().partition("## Configuration")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for cell in first_cells for name in re.findall(r"`([A-Z][A-Z_]+)`", cell)}
    listed = set(re.findall(r"^(?:# ?)?([A-Z][A-Z_]+)=", example, re.MULTILINE))
    assert "STOCK_WAIT_SECONDS" in named
    assert named - NOT_IN_EXAMPLE - listed == set()
