"""Real engines for the whole run, started before Django reads its settings."""

import os
import secrets
import signal

import django
import pytest

from config.engines import free_port
from tests.engines import TestEngines

pytest_plugins = ["tests.fixtures.sandbox", "tests.fixtures.pipeline", "tests.fixtures.pages"]

ENGINES = TestEngines()


def _configure_django() -> None:
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings",
        SECRET_KEY=secrets.token_urlsafe(50),
        DEBUG="0",
        DEMO="0",
        ALLOWED_HOSTS="*",
        HTTPS="0",
        CANARY_INTERVAL="0",
        # Nothing of a `make run` beside us: not its secrets and files, not its sandbox.
        DATA_DIR=str(ENGINES.folder),
        SANDBOX_PORT=str(free_port()),
    )
    (ENGINES.folder / "static").mkdir()  # where WhiteNoise looks, and warns when there is nothing
    django.setup()


# At import and not in a hook: the conftest files of the apps are imported next, and they import models.
ENGINES.start()
_configure_django()


def pytest_configure(config: pytest.Config) -> None:
    # A terminated run ends like an interrupted one, so that the engines below end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    ENGINES.stop()
