"""A worker notices that a child has died, even if it looks too early; a child dies with its worker."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import platforms
from kombu.asynchronous import Hub

from config.celery_ext.prefork_pool import Pool
from runtime.death_signal import set_death_signal


class WithoutRegularLooks(Pool):
    """Learns of a death from the child's pipe or never."""

    timers: dict[object, float] = {}


@contextmanager
def one_child(hub: Hub) -> Iterator[Any]:
    pool: Any = WithoutRegularLooks(processes=1, threads=False)
    pool.register_with_event_loop(hub)
    try:
        yield pool
    finally:
        pool.terminate()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_that_is_not_gone_yet_when_its_pipe_closes_is_replaced_all_the_same() -> None:
    hub = Hub()
    with one_child(hub) as pool:
        (child,) = pool._pool
        pool._event_process_exit(hub, child)  # as if its pipe were closed and it itself not gone yet
        os.kill(child.pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while pool._pool[0] is child and time.monotonic() < deadline:
            next(hub.loop)
        assert pool._pool[0].pid != child.pid


@pytest.mark.skipif(sys.platform != "linux", reason="there is no parent-death signal here")
def test_a_child_dies_with_its_worker_and_compiles_no_declaration_for_that(monkeypatch) -> None:
    monkeypatch.setattr("billiard.util.cffi", None, raising=False)  # billiard would use it
    found = ctypes.c_int()
    try:
        platforms.set_pdeathsig("SIGKILL")  # type: ignore[attr-defined] # what each child calls first
        ctypes.CDLL(None).prctl(2, ctypes.byref(found), 0, 0, 0)  # PR_GET_PDEATHSIG
    finally:
        set_death_signal(0)
    assert found.value == signal.SIGKILL
