"""A provider's rate limit is kept by all processes together."""

import time
import uuid

import pytest

from providers import rate
from providers.rate import Rate


@pytest.fixture
def name(settings) -> str:
    name = f"limited-{uuid.uuid4()}"
    settings.PROVIDER_RATE_LIMITS = {name: 100.0}
    return name


def test_what_one_process_takes_another_has_not(name):
    ours, theirs = Rate(name), Rate(name)

    assert ours.take(50, now=time.monotonic()) == 10  # a tenth of a second's worth
    assert theirs.take(50, now=time.monotonic()) < 10
    assert theirs.not_before > time.monotonic() - 1


def test_without_a_limit_everything_goes(settings):
    settings.PROVIDER_RATE_LIMITS = {}
    assert Rate("payments").take(5000, now=0.0) == 5000


def test_while_valkey_is_away_each_process_keeps_to_the_limit_alone(name, monkeypatch):
    class Away:
        def run(self, *_: object, otherwise: object, **__: object) -> object:
            return otherwise

    monkeypatch.setattr(rate, "shared_memory", Away)
    alone = Rate(name)
    assert [alone.take(5, now=100.0), alone.take(5, now=100.001)] == [1, 0]
    assert alone.take(5, now=time.monotonic() + 3600) == 1
