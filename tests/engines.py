"""PostgreSQL and Valkey for one process of the tests: ports, passwords and folders of its own."""

import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from launcher.engines import Engine, free_port, start_engine, stop_engine
from launcher.engines.postgres import Postgres
from launcher.engines.valkey import Valkey

FOLDER = "TESTS_FOLDER"


class TestEngines:
    """Stands in for what the environment does not name; `stop` ends it and removes its data."""

    __test__ = False

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._engines: list[Engine] = []
        self._running: list[tuple[Engine, subprocess.Popen[bytes]]] = []

    def choose(self) -> None:
        """Export DATABASE_URL and REDIS_URL: TEST_DATABASE_URL and TEST_REDIS_URL, or servers of our own."""
        os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or self._own(Postgres)
        os.environ["REDIS_URL"] = os.environ.get("TEST_REDIS_URL") or self._own(Valkey)

    def start(self) -> None:
        """Return once our own servers answer."""
        for engine in self._engines:
            self._running.append((engine, start_engine(engine)))
            if isinstance(engine, Postgres):
                engine.create_database()

    def stop(self) -> None:
        while self._running:
            stop_engine(*self._running.pop())
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def can_be_many(self) -> bool:
        """Whether every process of a run has servers to itself."""
        return len(self._engines) == 2

    def _own(self, kind: type[Postgres] | type[Valkey]) -> str:
        engine = kind(
            folder=self.folder / kind.name,
            port=free_port(),
            password=secrets.token_urlsafe(18),
            durable=False,
        )
        if isinstance(engine, Postgres):
            engine = replace(engine, role_attributes="CREATEDB")  # for the tests' databases
        self._engines.append(engine)
        return engine.url

    @property
    def folder(self) -> Path:
        """An empty folder for the run's files, gone after it."""
        if self._folder is None:
            # Inside the folder of the process that hands out the tests, which cleans up after workers that it kills.
            self._folder = Path(tempfile.mkdtemp(prefix="order-pipeline-tests-", dir=os.environ.get(FOLDER)))
            os.environ[FOLDER] = str(self._folder)
            # PostgreSQL may have to run as another account, see config/engines/identity.py.
            self._folder.chmod(0o711)
        return self._folder
