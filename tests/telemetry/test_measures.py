"""What processes count together in Valkey."""

import os
import threading

import pytest
import redis

from launcher.engines import free_port
from telemetry import measures
from telemetry.measures import Measure

COUNTED = Measure("tests_counted", "For tests.", ("kind",))
MEASURED = Measure("tests_measured", "For tests.", ("kind",), (1.0, 2.0))


@pytest.fixture(autouse=True)
def empty():
    measures.flush()
    with measures._client() as client:
        client.delete(measures.KEY)


def counted() -> dict:
    measures.flush()
    return {field: amount for field, amount in measures.totals().items() if field[0].startswith("tests_")}


def test_counts_of_all_threads_add_up():
    def count_on():
        for _ in range(500):
            COUNTED.add("a")

    threads = [threading.Thread(target=count_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted() == {("tests_counted", ("a",), "sum"): 2000}


def test_a_value_falls_into_the_bucket_whose_limit_it_does_not_exceed():
    for value in (0.5, 1.0, 1.5, 9.0):
        MEASURED.observe(value, "a")
    found = counted()
    assert [found["tests_measured", ("a",), str(place)] for place in range(3)] == [2, 1, 1]
    assert found["tests_measured", ("a",), "sum"] == 12


def test_counts_wait_while_valkey_is_away(settings):
    at_home = settings.CACHE_URL
    COUNTED.add("a")
    settings.CACHE_URL = f"redis://127.0.0.1:{free_port()}/0"
    with pytest.raises(redis.RedisError):
        measures.flush()
    settings.CACHE_URL = at_home
    assert counted() == {("tests_counted", ("a",), "sum"): 1}


def test_a_forked_process_counts_for_itself_alone():
    COUNTED.add("parent")
    child = os.fork()
    if not child:
        COUNTED.add("child")
        measures.flush()
        os._exit(0)
    os.waitpid(child, 0)
    assert counted() == {("tests_counted", ("parent",), "sum"): 1, ("tests_counted", ("child",), "sum"): 1}


def test_counts_travel_over_one_connection():
    counted()
    with measures._client() as client:
        before = client.info("stats")["total_connections_received"]
        for _ in range(3):
            COUNTED.add("a")
            measures.flush()
        assert client.info("stats")["total_connections_received"] == before
