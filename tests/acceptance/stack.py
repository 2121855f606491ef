"""A running stack, with a data folder and ports of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any

import psutil
import psycopg
import requests
from dotenv import dotenv_values

from config.admission import SHARED_SECONDS
from launcher.engines import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180.0
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "DEMO", "ALLOWED_HOSTS", "DJANGO_SETTINGS_MODULE")


class Stack:
    """`make run` once its virtual environment is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.flower_port = free_port(), free_port()
        self.log = folder / "run.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._has_logins = False  # in the current test
        self._logins_ended = -inf  # monotonic: when the last test with logins did

    # --- Life ---------------------------------------------------------------------------------------------

    def start(self, **environment: str) -> "Stack":
        """Return once the table of addresses has been printed."""
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        chosen = {
            "DATA_DIR": str(self.folder / "data"),
            "PORT": str(self.port),
            "FLOWER_PORT": str(self.flower_port),
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "launcher.run"],
                cwd=ROOT,
                env=inherited | chosen | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._is_ready, seconds=START_SECONDS, what="the stack to start", log=self.log)
        return self

    def stop(self) -> int:
        """End it as Ctrl-C does. Return its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=30)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(
                f"The stack ended with {self._process.returncode}:\n{self.log.read_text()[-3000:]}"
            )
        return "Ready." in self.log.read_text()

    # --- What is in it --------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The one address of everything."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the launcher made up: ports, passwords, addresses of the engines."""
        return {name: value or "" for name, value in dotenv_values(self.folder / "data" / "env").items()}

    @property
    def pids(self) -> list[int]:
        """Every process of the stack."""
        assert self._process is not None
        found = subprocess.run(
            ["ps", "-o", "pid=", "--forest", "-g", str(self._process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(pid) for pid in found.stdout.split()]

    def login(self, who: str) -> tuple[str, str]:
        """The name and password of the admin, the operator or the customer."""
        self._has_logins = True
        account = {"customer": "demo"}.get(who, who)
        return account, self.environment[f"DEMO_{who.upper()}_PASSWORD"]

    def note_end_of_test(self) -> None:
        """Remember when accounts other than the one without credentials were used last."""
        if self._has_logins:
            self._has_logins, self._logins_ended = False, time.monotonic()

    def is_shared(self) -> bool:
        """Whether a server may still keep an account to its share, as others were there a moment ago."""
        return time.monotonic() <= self._logins_ended + SHARED_SECONDS

    def session(self, who: str) -> requests.Session:
        """A browser that has logged in at the admin's door."""
        session = requests.Session()
        name, password = self.login(who)
        session.get(f"{self.url}/admin/login/", timeout=10)
        answer = session.post(
            f"{self.url}/admin/login/",
            {"username": name, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]},
            headers={"Referer": f"{self.url}/admin/login/"},
            timeout=10,
        )
        assert "sessionid" in session.cookies, answer.text[:500]
        return session

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the stack's database."""
        with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
            return connection.execute(statement, parameters).fetchall()

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return its processes whose command line has all the words; one may end at any time."""
        found = []
        for pid in self.pids:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if all(word in " ".join(process.cmdline()) for word in words):
                    found.append(process)
        return found

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` beside the stack."""
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=inherited | {"DATA_DIR": str(self.folder / "data")},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    # --- Orders ---------------------------------------------------------------------------------------------

    def place(self, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Place an order as the demo customer, and return the answer."""
        body = {"customerName": "Alice", "items": list(items)} | more
        answer = requests.post(f"{self.url}/api/orders", json=body, timeout=10)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def order(self, order_id: int) -> dict[str, Any]:
        """Return an order as its customer sees it."""
        answer = requests.get(f"{self.url}/api/orders/{order_id}", timeout=10)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def when(self, order_id: int, *statuses: str, seconds: float = 30) -> dict[str, Any]:
        """Return an order once it has one of the statuses."""
        wait_until(
            lambda: self.order(order_id)["status"] in statuses,
            seconds=seconds,
            what=f"order {order_id} to be {statuses}, it is {self.order(order_id)['status']}",
            log=self.log,
        )
        return self.order(order_id)


def wait_until(condition: Callable[[], Any], *, seconds: float, what: str, log: Path | None = None) -> None:
    """Return once the condition holds; fail with what was waited for after a timeout in seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            tail = log.read_text()[-3000:] if log else ""
            raise AssertionError(f"Waited {seconds} s for {what}.\n{tail}")
        time.sleep(0.05)


@contextmanager
def running_stack(folder: Path, **environment: str) -> Iterator[Stack]:
    """A stack that is there as long as the block runs, and leaves nothing behind."""
    stack = Stack(folder)
    try:
        yield stack.start(**environment)
    finally:
        stack.kill()
