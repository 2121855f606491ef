"""What a worker says about itself, asked of a real one."""

import os
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from django.db import connection

from config.celery import app
from monitoring.workers import PREFIX
from runtime import heartbeats
from tests.waiting import until

NAME = f"{PREFIX}shipping@here"


@pytest.fixture
def start_worker():
    started = []
    with heartbeats._client() as client:  # what the worker of the test before left when it was killed
        client.delete(heartbeats.KEY)

    def start(**environment: str) -> subprocess.Popen[bytes]:
        command = [
            "-m",
            "celery",
            "-A",
            "config",
            "worker",
            "-Q",
            "shipping",
            "-n",
            "shipping@here",
            "-c",
            "1",
        ]
        process = subprocess.Popen(
            [sys.executable, *command, "--without-gossip", "--without-mingle"],
            process_group=0,
            env=os.environ | environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def worker(start_worker):
    return start_worker()


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


def failed_in_a_row() -> int:
    presence = seen()
    return presence.facts["failedInARow"] if presence else 0


@pytest.mark.django_db(transaction=True)
def test_a_worker_tells_how_many_tasks_failed_since_one_that_did_not(start_worker):
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    start_worker(DATABASE_URL=database.geturl())
    until(seen, seconds=60)
    for _ in range(3):  # without the batch that it wants
        app.send_task("shipping.quote_shipping", queue="shipping")

    until(lambda: failed_in_a_row() == 3, seconds=60)

    app.send_task("shipping.quote_shipping", kwargs={"batch_id": 0}, queue="shipping")
    until(lambda: failed_in_a_row() == 0, seconds=60)


def test_a_workers_loop_touches_its_heartbeat_file(start_worker, tmp_path):
    file = tmp_path / "heartbeat"
    start_worker(HEARTBEAT_FILE=str(file))
    until(file.exists, seconds=60)
    file.unlink()
    until(file.exists, seconds=60)
