"""The web process as the Procfile starts it, on the database of the tests."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from launcher.child import start_child, stop_child
from launcher.engines import free_port, is_free
from launcher.procfile import PROCFILE, expand, parse
from tests.waiting import until


class WebProcess:
    """granian with `config.wsgi` on a port of its own, and what it writes to its log."""

    def __init__(self, *, lock_timeout_ms: int = 3000, **environment: str) -> None:
        self.port = free_port()
        self._environment = _environment(lock_timeout_ms) | environment
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this does
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Return once it listens."""
        environment = os.environ | self._environment | {"WEB_PORT": str(self.port)}
        argv, assignments = expand(_command("web"), environment)
        argv[0] = str(Path(sys.executable).parent / argv[0])
        self._process = start_child(
            argv,
            death_signal=signal.SIGKILL,
            cwd=PROCFILE.parent,
            env=environment | assignments,
            output=self._log.fileno(),
        )
        process = self._process
        until(lambda: not is_free(self.port) or process.poll() is not None, seconds=60)
        assert process.poll() is None, self.log()
        return self

    def stop(self) -> None:
        if self._process:
            stop_child(self._process, stop_signal=signal.SIGTERM, timeout=10)
            self._process = None

    def log(self) -> str:
        """Return what it has written so far."""
        end = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), end, 0).decode(errors="replace")


def _command(name: str) -> str:
    return next(entry.command for entry in parse(PROCFILE.read_text()) if entry.name == name)


def _environment(lock_timeout_ms: int) -> dict[str, str]:
    database = urlsplit(os.environ["DATABASE_URL"])._replace(
        path=f"/{connection.settings_dict['NAME']}", query=f"options=-c%20lock_timeout%3D{lock_timeout_ms}"
    )
    return {"DATABASE_URL": database.geturl(), "SECRET_KEY": settings.SECRET_KEY}
