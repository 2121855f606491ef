"""How the legs of a batch are joined."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
import redis
from celery import signature, states
from django.conf import settings

from config.celery import app
from config.celery_ext.chord_results import Joins

QUEUE = "notifications"


@pytest.fixture
def broker():
    with redis.Redis.from_url(settings.BROKER_URL) as client:
        client.delete(QUEUE)
        yield client
        client.delete(QUEUE)


@pytest.fixture
def arrive(broker):
    """Have a leg of a chord of two arrive; return how many bodies have been sent by then."""
    backend, group = Joins(app=app, url=settings.RESULTS_URL), str(uuid4())
    backend.set_chord_size(group, 2)
    body = signature("notifications.body", options={"queue": QUEUE}, immutable=True)

    def arrived(leg: str, state: str = states.SUCCESS, *, is_over: bool = False) -> int:
        request = SimpleNamespace(id=leg, group=group, chord=body)
        backend.on_chord_part_return(request, state, is_over)
        return int(broker.llen(QUEUE))

    return arrived


def test_the_body_is_sent_by_the_last_leg(arrive):
    assert arrive("one") == 0
    assert arrive("two") == 1


def test_a_leg_that_is_done_twice_counts_once(arrive):
    assert arrive("one") == 0
    assert arrive("one") == 0
    assert arrive("two") == 1


def test_the_last_leg_sends_the_body_again_when_its_worker_ended_before_it_was_acknowledged(arrive):
    arrive("one")
    arrive("two")
    assert arrive("two") == 2


def test_a_leg_that_failed_joins_nothing(arrive):
    arrive("one")
    assert arrive("two", states.FAILURE) == 0


def test_a_last_leg_that_leaves_nothing_to_do_sends_no_body(arrive):
    arrive("one")
    assert arrive("two", is_over=True) == 0


def test_a_leg_that_leaves_nothing_to_do_before_the_last_one_changes_nothing(arrive):
    arrive("one", is_over=True)
    assert arrive("two") == 1
