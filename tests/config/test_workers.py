"""What a worker says about itself, asked of a real one."""

import os
import signal
import subprocess
import sys

import pytest

from monitoring.workers import PREFIX
from runtime import heartbeats
from tests.waiting import until

NAME = f"{PREFIX}shipping@here"


@pytest.fixture
def worker():
    command = ["-m", "celery", "-A", "config", "worker", "-Q", "shipping", "-n", "shipping@here", "-c", "1"]
    process = subprocess.Popen(
        [sys.executable, *command, "--without-gossip", "--without-mingle"], process_group=0
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def seen() -> heartbeats.Presence | None:
    return next((presence for presence in heartbeats.present() if presence.name == NAME), None)


def test_a_worker_shows_itself_with_its_queue_and_signs_off(worker):
    presence = until(seen, seconds=60)
    assert presence is not None
    assert presence.is_alive
    assert presence.pid == worker.pid
    assert presence.facts["queues"] == ["shipping"]
    assert presence.facts["active"] == 0

    worker.send_signal(signal.SIGTERM)
    until(lambda: seen() is None, seconds=60)
    worker.wait()
