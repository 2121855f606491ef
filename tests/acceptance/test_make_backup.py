"""`make backup` and `make restore`, as an operator types them, on engines of their own."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> dict[str, str]:
    """The environment of a fresh installation: nothing of the tests' own engines."""
    folder = tmp_path_factory.mktemp("backup")
    for each in (folder, *folder.parents[:3]):
        each.chmod(0o711)
    ours = {"DATABASE_URL", "REDIS_URL", "DATABASE_PASSWORD", "TEST_DATABASE_NAME"}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return inherited | {"DATA_DIR": str(folder / "data"), "DEBUG": "1", "DEMO": "1"}


def recipe(*words: str) -> str:
    """What make would run; without the installation, which is done."""
    shown = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return "\n".join(line for line in shown.stdout.splitlines() if "config/venv.sh" not in line)


def make(place: dict[str, str], *words: str, fails: bool = False) -> str:
    done = subprocess.run(
        ["sh", "-c", recipe(*words)],
        cwd=ROOT,
        env=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert bool(done.returncode) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def manage(place: dict[str, str], *words: str) -> str:
    command = [".venv/bin/python", "manage.py", *words]
    return subprocess.run(
        command, cwd=ROOT, env=place, capture_output=True, text=True, check=True, timeout=60
    ).stdout


ADD = "from django.contrib.auth.models import User; User.objects.create_user('kept')"
DROP = "from django.contrib.auth.models import User; User.objects.all().delete()"
COUNT = "from django.contrib.auth.models import User; print(User.objects.filter(username='kept').count())"


@contextmanager
def engines(place: dict[str, str]) -> Iterator[None]:
    """`make engines` as long as the block runs."""
    process = subprocess.Popen(
        ["sh", "-c", recipe("engines")],
        cwd=ROOT,
        env=place,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout
        assert any("Press Ctrl-C" in line for line in iter(process.stdout.readline, ""))
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0


def test_what_was_backed_up_is_restored_by_the_commands_of_the_manual(place, tmp_path):
    dump = tmp_path / "orders.dump"
    with engines(place):
        manage(place, "migrate", "--verbosity", "0")
        manage(place, "shell", "--verbosity", "0", "-c", ADD)
        make(place, "backup", f"FILE={dump}")
        assert dump.stat().st_mode & 0o077 == 0
        manage(place, "shell", "--verbosity", "0", "-c", DROP)
        assert "REPLACE=1" in make(place, "restore", f"FILE={dump}", fails=True)
        assert "does not exist" in make(place, "restore", "FILE=/nowhere.dump", fails=True)

        assert "Restored" in make(place, "restore", f"FILE={dump}", "REPLACE=1")

        assert manage(place, "shell", "--verbosity", "0", "-c", COUNT).strip() == "1"
