"""A scrape of any web process says how many threads of each are busy."""

import os
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse

from config.middleware import Measured
from monitoring import prometheus
from telemetry import busy_threads


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    with busy_threads._client() as client:
        client.delete(busy_threads.KEY)


def test_a_request_in_progress_keeps_a_thread_busy(rf: Any, settings: Any) -> None:
    during: list[int] = []

    def inner(request: HttpRequest) -> HttpResponse:
        if request.path != "/inner":
            Measured(inner)(rf.get("/inner"))
        busy_threads.here.publish()
        during.extend(process.busy for process in busy_threads.processes())
        return HttpResponse()

    Measured(inner)(rf.get("/outer"))
    assert during == [2, 2]  # the peak since the last time: the inner one ended meanwhile
    busy_threads.here.publish()
    busy_threads.here.publish()
    (process,) = busy_threads.processes()
    assert (process.node, process.pid, process.busy) == (settings.NODE, os.getpid(), 0)


def test_it_keeps_its_connection() -> None:
    busy_threads.here.publish()
    client = busy_threads.here._client
    assert client is not None
    connection_id = client.client_id()
    busy_threads.here.publish()
    assert busy_threads.here._client is client
    assert client.client_id() == connection_id


def test_a_process_that_ended_is_forgotten(monkeypatch: Any) -> None:
    busy_threads.here.publish()
    monkeypatch.setattr(busy_threads, "GONE_SECONDS", -1.0)
    assert busy_threads.processes() == []
    monkeypatch.undo()
    assert busy_threads.processes() == []


def test_the_gauge_names_node_and_process() -> None:
    families = list(prometheus._web([busy_threads.WebProcess("node-1", 7, busy=3, threads=16)]))
    assert [(f.name, f.samples[0].labels, f.samples[0].value) for f in families] == [
        ("orders_web_threads_busy", {"node": "node-1", "pid": "7"}, 3),
        ("orders_web_threads", {"node": "node-1", "pid": "7"}, 16),
    ]
