"""Real engines for each process that runs tests; the whole suite is spread over several."""

import os
import secrets
import signal
import sys
from typing import Any

import django
import pytest
from django.conf import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from launcher.engines import free_port
from providers import collector
from tests.board import chromium
from tests.cleaning import clean_quickly
from tests.engines import TestEngines
from tests.workers import WORKERS, ByFile, slowest_first

pytest_plugins = [
    "tests.fixtures.described",
    "tests.fixtures.sandbox",
    "tests.fixtures.stripe",
    "tests.fixtures.pipeline",
    "tests.fixtures.dripping",
    "tests.fixtures.undecided",
    "tests.fixtures.staff",
]

ENGINES = TestEngines()


def _configure_django() -> None:
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings",
        SECRET_KEY=secrets.token_urlsafe(50),
        DEBUG="0",
        DEMO="0",
        ALLOWED_HOSTS="localhost,127.0.0.1,testserver,.example",
        HTTPS="0",
        ALLOW_SANDBOX="1",
        DEFAULT_PAYMENT_TOKEN="tok_demo",
        CANARY_INTERVAL="0",
        # Accounts of different tests have the same id, and its declines would add up.
        DECLINES_PER_ACCOUNT="off",
        # Nothing of a `make run` beside us: not its secrets and files, not its sandbox.
        DATA_DIR=str(ENGINES.folder),
        SANDBOX_PORT=str(free_port()),
    )
    (ENGINES.folder / "static").mkdir()  # where WhiteNoise looks, and warns when there is nothing
    django.setup()
    _relieve_django()


def _relieve_django() -> None:
    """Take away what costs every test much and proves nothing."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Pages link static files by their plain names: the hashed ones are known to collectstatic only.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}
    clean_quickly()
    # The threads that collect answers keep no connection open, which the end of the tests would wait for.
    collector.LET_GO_AFTER_SECONDS = 0.0


def _keep_compiled_files() -> None:
    """Else each of the many processes of the tests compiles all modules again, and pytest rewrites all tests."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


# At import and not in a hook: the conftest files of the apps are imported next, and they import models.
_keep_compiled_files()
ENGINES.choose()
_configure_django()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Some for the whole suite, which spends most of its time waiting; none for tests that are asked for by name."""
    is_whole_suite = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return WORKERS if is_whole_suite and ENGINES.can_be_many else 0


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Keep together what shares a running system."""
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)  # pytest-django has an order of its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slowest_first(items)


def pytest_configure(config: pytest.Config) -> None:
    # A terminated run ends like an interrupted one, so that the engines below end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if config.getoption("dist") == "no":
        ENGINES.start()
    else:  # This process runs no test, but hands them out. pytest-django must not load the workers' settings early.
        del os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Warn when no browser was found: a skip among two thousand passes is easily overlooked."""
    if not chromium.path():
        terminalreporter.section("browser tests skipped", sep="!")
        terminalreporter.write_line(chromium.MISSING)


def pytest_unconfigure(config: pytest.Config) -> None:
    ENGINES.stop()
