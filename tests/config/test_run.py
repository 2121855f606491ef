"""`make run`: what it makes up, what it refuses, and a whole life of the system."""

import contextlib
import http.client
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.announcement import table
from launcher.data_folder import DataFolder, DataFolderError
from launcher.engines import free_port
from launcher.procfile import PROCFILE, parse
from launcher.run import RunError, complete_environment

ROOT = PROCFILE.parent
START_SECONDS = 90.0
# What a run must make up itself; the tests' own engines and settings are not its business.
FOREIGN = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "DEBUG",
    "DEMO",
    "ALLOWED_HOSTS",
    "HTTPS",
    "SANDBOX_PORT",
)


@pytest.fixture
def folder(tmp_path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch) -> None:
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("FLOWER_PORT", str(next(other for other in iter(free_port, None) if other != port)))


def run_until_it_ends(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launcher.run"]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=60
    )


class TestEnvironment:
    def test_secrets_and_addresses_survive_a_restart(self, folder):
        first, second = complete_environment(folder), complete_environment(folder)
        for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "WEB_PORT", "DEMO_ADMIN_PASSWORD"):
            assert first[name] == second[name]

    def test_only_the_owner_can_read_them(self, folder):
        complete_environment(folder)
        assert stat.S_IMODE((folder.path / "env").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700

    def test_the_users_own_values_win_and_are_not_taken_for_ours_later(self, folder, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgres://me:mine@db.example/shop")
        assert complete_environment(folder)["DATABASE_URL"] == "postgres://me:mine@db.example/shop"
        assert folder.read_environment()["DATABASE_URL"] == "postgres://me:mine@db.example/shop"
        monkeypatch.delenv("DATABASE_URL")
        assert "@127.0.0.1:" in complete_environment(folder)["DATABASE_URL"]

    def test_a_weak_key_that_was_given_once_is_not_kept(self, folder, monkeypatch):
        monkeypatch.setenv("SECRET_KEY", "a")
        assert complete_environment(folder)["SECRET_KEY"] == "a"
        monkeypatch.delenv("SECRET_KEY")
        assert len(complete_environment(folder)["SECRET_KEY"]) > 50

    def test_what_manage_py_needs_beside_the_system_is_passed_on(self, folder, monkeypatch):
        monkeypatch.setenv("ALLOW_SANDBOX", "1")
        monkeypatch.setenv("PAYMENT_API_URL", "https://pay.example")
        complete_environment(folder)
        kept = folder.read_environment()
        assert (kept["ALLOW_SANDBOX"], kept["PAYMENT_API_URL"]) == ("1", "https://pay.example")

    def test_an_inner_port_that_somebody_took_meanwhile_is_replaced(self, folder):
        before = complete_environment(folder)
        with listening(int(before["WEB_PORT"])):
            after = complete_environment(folder)
        assert after["WEB_PORT"] != before["WEB_PORT"]
        assert after["LIVE_PORT"] == before["LIVE_PORT"]

    def test_the_engines_keep_their_password_when_they_have_to_move(self, folder):
        before = complete_environment(folder)["REDIS_URL"]
        with listening(int(before.rsplit(":", 1)[1])):
            after = complete_environment(folder)["REDIS_URL"]
        assert after != before
        assert after.rsplit(":", 1)[0] == before.rsplit(":", 1)[0]

    def test_the_demo_is_off_where_debug_is_off(self, folder, monkeypatch):
        monkeypatch.setenv("DEBUG", "0")
        assert complete_environment(folder)["DEMO"] == "0"

    def test_a_taken_port_is_named_with_the_way_to_another(self, folder):
        port = os.environ["PORT"]
        with listening(int(port)), pytest.raises(RunError, match=f"Port {port} is taken.*make run PORT="):
            complete_environment(folder)

    @pytest.mark.parametrize("value", ["http", "0", "70000", "-1"])
    def test_a_port_that_is_none_is_refused(self, folder, monkeypatch, value):
        monkeypatch.setenv("FLOWER_PORT", value)
        with pytest.raises(RunError, match="FLOWER_PORT must be a port number"):
            complete_environment(folder)

    def test_a_host_that_is_not_ours_is_refused(self, folder, monkeypatch):
        monkeypatch.setenv("HOST", "x86_64-conda-linux-gnu")
        with pytest.raises(RunError, match="HOST=x86_64-conda-linux-gnu is no address of this machine"):
            complete_environment(folder)

    def test_the_table_shows_addresses_and_logins(self, folder):
        environment = complete_environment(folder)
        shown = table(environment)
        assert f"http://localhost:{environment['PORT']}/swagger" in shown
        assert environment["DEMO_OPERATOR_PASSWORD"] in shown
        assert "createsuperuser" not in shown

    def test_outside_the_demo_the_table_says_how_to_get_a_login(self, folder, monkeypatch):
        monkeypatch.setenv("DEBUG", "0")
        environment = complete_environment(folder)
        shown = table(environment)
        assert f"DATA_DIR={folder.path} " in shown
        assert "manage.py createsuperuser" in shown
        assert environment["DEMO_OPERATOR_PASSWORD"] not in shown


class TestDataFolder:
    def test_a_second_launcher_is_told_of_the_first(self, folder):
        folder.lock()
        done = run_until_it_ends(DATA_DIR=str(folder.path))
        assert done.returncode == 1
        assert f"Another `make run` (process {os.getpid()})" in done.stderr

    def test_a_file_in_its_place_is_refused(self, tmp_path):
        (tmp_path / "data").touch()
        with pytest.raises(DataFolderError, match="is a file"):
            DataFolder(tmp_path / "data")

    def test_a_place_that_cannot_be_written_is_refused(self):
        with pytest.raises(DataFolderError, match="cannot be written"):
            DataFolder(Path("/proc/data"))

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_the_folder_of_another_account_is_refused(self, tmp_path):
        (tmp_path / "data").mkdir()
        os.chown(tmp_path / "data", 65534, 65534)
        with pytest.raises(DataFolderError, match="belongs to another account"):
            DataFolder(tmp_path / "data")


class TestRefusals:
    def test_broken_engine_data_are_refused_in_one_sentence(self, tmp_path):
        (tmp_path / "postgres").mkdir()
        done = run_until_it_ends(DATA_DIR=str(tmp_path))
        assert done.returncode == 1
        assert done.stderr.startswith("Cannot start: ")
        assert len(done.stderr.splitlines()) == 1

    def test_a_server_of_ones_own_that_does_not_answer_is_named(self, tmp_path):
        nowhere = f"postgres://a:b@127.0.0.1:{free_port()}/c"
        done = run_until_it_ends(DATA_DIR=str(tmp_path), DATABASE_URL=nowhere)
        assert done.returncode == 1
        assert "Cannot connect to PostgreSQL at DATABASE_URL" in done.stderr


class TestVirtualEnvironment:
    """config/venv.sh, with interpreters that are not as they should be."""

    def install(
        self, place: Path, *, python: str, path: str = "/usr/bin:/bin"
    ) -> subprocess.CompletedProcess[str]:
        shutil.copy(ROOT / "config" / "venv.sh", place)
        (place / "requirements.txt").write_text("there-is-no-such-package==1.0 --hash=sha256:00\n")
        variables = {"PATH": path, "PYTHON": python, "PIP_NO_INDEX": "1"}
        return subprocess.run(
            ["sh", "venv.sh", "requirements.txt"],
            cwd=place,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def fake_python(self, place: Path, script: str) -> str:
        fake = place / "fake-python"
        fake.write_text(f"#!/bin/sh\n{script}\n")
        fake.chmod(0o755)
        return str(fake)

    def test_a_python_that_is_too_old_is_refused(self, tmp_path):
        done = self.install(tmp_path, python=self.fake_python(tmp_path, "exit 1"))
        assert done.returncode == 1
        assert "is no Python 3.11 or newer" in done.stderr

    def test_a_missing_venv_module_is_named_with_its_package(self, tmp_path):
        script = f"""case "$2" in *"import venv"*) exit 1 ;; esac\nexec {sys.executable} "$@" """
        done = self.install(tmp_path, python=self.fake_python(tmp_path, script))
        assert done.returncode == 1
        assert "apt install python3" in done.stderr
        assert "-venv" in done.stderr

    def test_a_failed_installation_ends_in_one_sentence_without_a_home_and_a_done_one_is_not_repeated(
        self, tmp_path
    ):
        done = self.install(tmp_path, python=sys.executable)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(
            "Cannot install: pip could not install requirements.txt"
        )

        stamp = "{ cat requirements.txt; pwd; .venv/bin/python -V; } | cksum"
        subprocess.run(["sh", "-c", stamp + " > .venv/installed.requirements.txt"], cwd=tmp_path, check=True)
        done = self.install(tmp_path, python=sys.executable)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@contextlib.contextmanager
def listening(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


class Running:
    """The whole system, started in a folder of its own."""

    def __init__(self, data: Path, log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "launcher.run"],
                cwd=ROOT,
                env=os.environ | {"DATA_DIR": str(data)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def find(self, *words: str) -> psutil.Process:
        """The oldest process with these words in its command line."""
        found = (
            one for one in self.family() if set(words) <= set(command_line(one).replace("/", " ").split())
        )
        return min(found, key=lambda one: one.pid)

    def says_ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        return "\nReady." in self._log.read_text()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


def is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]), timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def command_line(process: psutil.Process) -> str:
    """Its command line; empty if it ended while we looked."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def are_gone(family: list[psutil.Process]) -> bool:
    return not any(is_alive(one) for one in family)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[[], Running]]:
    started: list[Running] = []

    def start() -> Running:
        log = tmp_path / f"run-{len(started)}.log"
        running = Running(tmp_path / "data", log)
        started.append(running)
        until(running.says_ready)
        return running

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()  # its guardian stops the rest
            running.process.wait()


@pytest.mark.acceptance
def test_a_whole_life(start, tmp_path):
    running = start()
    secrets = (tmp_path / "data" / "env").read_text()
    assert is_ready()
    names = {entry.name for entry in parse(PROCFILE.read_text())}
    assert len(running.family()) > len(names)

    for words in (["granian"], ["caddy"], ["postgres", "-D"], ["valkey-server"]):
        victim = running.find(*words)
        victim.kill()
        until(partial(are_gone, [victim]))
        until(is_ready)

    family = running.family()
    running.process.kill()
    running.process.wait()
    until(lambda: are_gone(family))

    running = start()
    assert (tmp_path / "data" / "env").read_text() == secrets
    family = running.family()
    assert running.stop() == 0
    until(lambda: are_gone(family))
