"""Heartbeats in Valkey."""

import time

import pytest

from launcher.engines import free_port
from runtime import heartbeats
from runtime.heartbeats import GONE_SECONDS, KEY, HeartbeatPublisher, Unreachable, alive, beat, leave, present
from tests.waiting import until


@pytest.fixture(autouse=True)
def nobody_yet():
    # Other tests of this process may have left a sign that its thread is still to carry.
    for name in list(heartbeats._publisher()._beats):
        leave(name)
    with heartbeats._client() as client:
        client.delete(KEY, f"{KEY}:facts")


def seen(*names: str) -> list[str]:
    """Who of these is remembered; a live server that another test has left running may be, too."""
    return [presence.name for presence in present() if presence.name in names]


def test_a_process_that_beats_is_alive():
    beat("dispatcher")
    until(lambda: "dispatcher" in alive())
    assert alive()["dispatcher"] < 5


def test_it_tells_what_the_process_says_about_itself():
    beat("worker:orders@here", queues=["orders"], active=1)
    until(lambda: seen("worker:orders@here"))
    (facts,) = [each.facts for each in present() if each.name == "worker:orders@here"]
    assert facts == {"queues": ["orders"], "active": 1}


def test_a_loop_that_hangs_grows_old_although_its_process_lives():
    # What a loop said long ago is carried with the age it has by now.
    HeartbeatPublisher()._publish_beat("dispatcher", time.monotonic() - GONE_SECONDS - 1, {})
    assert "dispatcher" not in alive()
    assert seen("dispatcher") == ["dispatcher"]


def test_the_youngest_of_several_speaks_for_a_name():
    old = HeartbeatPublisher()
    old.pid = 1
    old._publish_beat("dispatcher", time.monotonic() - 10, {})
    HeartbeatPublisher()._publish_beat("dispatcher", time.monotonic() - 1, {})
    assert seen("dispatcher") == ["dispatcher", "dispatcher"]
    assert alive()["dispatcher"] < 9


def test_a_process_that_ended_on_purpose_is_not_missed():
    beat("dispatcher")
    until(lambda: "dispatcher" in alive())
    leave("dispatcher")
    assert seen("dispatcher") == []


def test_the_long_gone_are_forgotten():
    gone = HeartbeatPublisher()
    gone.pid = 1
    gone._publish_beat("dispatcher", time.monotonic() - heartbeats.FORGOTTEN_SECONDS - 1, {})
    HeartbeatPublisher()._publish_beat("worker:orders@here", time.monotonic(), {})
    assert seen("dispatcher", "worker:orders@here") == ["worker:orders@here"]
    with heartbeats._client() as client:
        assert not [name for name in client.hkeys(f"{KEY}:facts") if name.startswith("dispatcher")]


def test_a_beat_never_raises_and_a_look_says_when_valkey_is_away(settings):
    settings.CACHE_URL = f"redis://127.0.0.1:{free_port()}/1"
    HeartbeatPublisher()._publish_beat("dispatcher", time.monotonic(), {})
    with pytest.raises(Unreachable):
        alive()


def test_a_beat_of_a_clock_that_was_ahead_keeps_nobody_alive():
    with heartbeats._client() as client:
        client.zadd(KEY, {"dispatcher|here|1": client.time()[0] + 3 * 86_400})
    assert "dispatcher" not in alive()
    HeartbeatPublisher()._publish_beat("web", time.monotonic(), {})
    assert seen("dispatcher", "web") == ["web"]
