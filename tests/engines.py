"""PostgreSQL and Valkey for one run of the tests: ports, passwords and folders of its own."""

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from config.engines import Engine, free_port, start_engine, stop_engine
from config.engines.postgres import Postgres
from config.engines.valkey import Valkey


class TestEngines:
    """Starts what the environment does not name; `stop` ends it and removes its data."""

    __test__ = False

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._running: list[tuple[Engine, subprocess.Popen[bytes]]] = []

    def start(self) -> None:
        """Export DATABASE_URL and REDIS_URL: TEST_DATABASE_URL and TEST_REDIS_URL, or servers of our own."""
        try:
            self._export("DATABASE_URL", Postgres)
            self._export("REDIS_URL", Valkey)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        while self._running:
            stop_engine(*self._running.pop())
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _export(self, variable: str, kind: type[Postgres] | type[Valkey]) -> None:
        # Exported, so that worker processes of pytest-xdist find the servers of the one that started them.
        given = f"TEST_{variable}"
        if given not in os.environ:
            os.environ[given] = self._start(kind)
        os.environ[variable] = os.environ[given]

    def _start(self, kind: type[Postgres] | type[Valkey]) -> str:
        engine = kind(
            folder=self.folder / kind.name,
            port=free_port(),
            password=secrets.token_urlsafe(18),
            durable=False,
        )
        self._running.append((engine, start_engine(engine)))
        return engine.url

    @property
    def folder(self) -> Path:
        """An empty folder for the run's files, gone after it."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="order-pipeline-tests-"))
            # PostgreSQL may have to run as another account, see config/engines/identity.py.
            self._folder.chmod(0o711)
        return self._folder
