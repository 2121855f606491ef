"""Objects per process, and Valkey for those who carry on without it."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from runtime.optional_valkey import Away, OptionalValkey
from runtime.per_process import per_process


def test_many_threads_at_once_make_one_object_per_argument():
    begun, made = threading.Barrier(8), []

    @per_process
    def thing(name):
        made.append(name)
        return object()

    def ask(number):
        begun.wait()
        return thing("ab"[number % 2])

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(ask, range(8)))) == 2
    assert sorted(made) == ["a", "b"]


def test_a_fork_makes_its_own_even_if_it_happens_while_another_thread_makes_one():
    inside, go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    @per_process
    def maker():
        if os.getpid() == parent:
            inside.set()
            go_on.wait(timeout=10)
        return os.getpid()

    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    thread = threading.Thread(target=maker)
    thread.start()
    assert inside.wait(timeout=10)
    child = context.Process(target=lambda: answers.put((maker.exists(), maker())))
    child.start()
    child.join(timeout=10)
    is_alive = child.is_alive()
    child.kill()
    go_on.set()
    thread.join()
    assert not is_alive, "the child waits for a lock that nothing releases"
    assert answers.get() == (False, child.pid)
    assert maker() == parent


def test_without_valkey_callers_go_on_and_do_not_each_wait_for_a_timeout():
    calls, now = [], [0.0]

    def fail():
        calls.append(1)
        raise redis.ConnectionError("away")

    valkey = OptionalValkey("tests go on", cool_down=5, clock=lambda: now[0])
    assert [valkey.call_or(fail, "default") for _ in range(3)] == ["default"] * 3
    assert len(calls) == 1
    with pytest.raises(Away):
        valkey.call(lambda: "answer")
    now[0] = 5.0
    assert valkey.call(lambda: "answer") == "answer"


def test_a_mistake_of_ours_is_no_absence_of_valkey():
    valkey = OptionalValkey("tests go on", cool_down=5)
    with pytest.raises(ZeroDivisionError):
        valkey.call_or(lambda: 1 // 0, 0)
    assert valkey.call(lambda: 1) == 1
