"""The simulated pipeline keeps every promise, whatever goes wrong; and where the code is broken, it does not."""

import re

import pytest

from tests.planted import FAULTS
from tests.simulation.dice import Dice
from tests.simulation.world import World

# What no simulation can show: a reader of the journal needs real transactions, and amounts on the wire a real wire
# (tests/planted/test_planted.py).
NOT_HERE = {"feed_by_last_id", "two_decimals"}
# Small worlds know other accidents than crowded ones. `make chaos` runs 50,000 orders (F48).
SIZES = {10: 500, 150: 100}


@pytest.mark.parametrize("size", SIZES)
def test_twenty_thousand_orders_come_to_rest_with_every_unit_and_cent_accounted_for(size: int) -> None:
    worlds = [World(seed, size) for seed in range(SIZES[size])]
    assert [violation for world in worlds for violation in world.run()] == []


def test_a_few_small_worlds_keep_every_promise_too() -> None:
    """In a second: `make mutants` needs it."""
    assert [violation for seed in range(30) for violation in World(seed, 10).run()] == []


def test_twenty_thousand_is_what_they_add_up_to() -> None:
    assert sum(size * worlds for size, worlds in SIZES.items()) >= 20_000


def test_where_nothing_goes_wrong_no_order_waits_that_is_not_refused() -> None:
    assert [violation for seed in range(20) for violation in World(seed, 20, calm=True).run()] == []


def test_a_seed_replays_to_the_last_event() -> None:
    def told(seed: int) -> list[str]:
        story: list[str] = []
        World(seed, 30, tell=story.append).run()
        return story

    first = told(7)
    assert len(first) > 100
    assert told(7) == first
    assert told(8) != first


def test_worlds_differ_in_what_goes_wrong() -> None:
    rates = [Dice(seed).rates for seed in range(50)]
    for fault in rates[0]:
        assert len({rate[fault] for rate in rates}) == 3, fault


# The violation that each planted fault must show: any other would prove that the simulation is broken, not the code.
VIOLATIONS = {
    "adjustment_left_out": r"adjustments of -\S+ are left out of the total",
    "bankers_rounding": r"all units of \d come to .*, the line to",
    "capture_without_join": r"money was taken for what was not held",
    "double_click": r"\d credits for \d requests",
    "expired_is_captured": r"counts \S+ as captured, the provider took",
    "expired_is_held": r"counts \S+ as held, the provider holds 0",
    "included_added_again": r"\d is included in the prices, and added again",
    "key_per_try": r"(confirmed|completed|cancelled) owes .* provider took",
    "key_without_number": r"(confirmed|completed|cancelled) owes .* provider took",
    "late_failure_dropped": r"(confirmed|completed|cancelled) owes .* provider took",
    "no_fencing": r"money was taken for what was not held|provider took .* in [2-9],",
    "outcome_before_call": r"(confirmed|completed) owes .* provider took 0 in 0,|holds -\d",
    "pending_is_declined": r"(confirmed|completed|cancelled|rejected) owes .* provider took",
    "publish_before_commit": r"waited though nothing went wrong",
    "refund_twice": r"cancelled owes 0; provider took (\S+) in 1, gave back (?!\1,)",
    "release_forgotten": r"(cancelled|rejected) holds \{.+\}, not \{\}",
    "sequence_with_gaps": r"event \d+ has sequence \d+",
    "shortage_is_final": r"refused, though only orders that are not paid hold its units",
    "stock_without_guard": r"stock of \d+: \d+ on hand, \d+ reserved",
    "trust_the_message": r"processing, and it is never due again",
    "undo_without_lookup": r"(cancelled|rejected) owes 0; provider took",
    "unknown_is_declined": r"(cancelled|rejected) owes 0; provider took",
}


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - NOT_HERE))
def test_it_catches(fault: str) -> None:
    """A planted fault shows as its own violation, in worlds that are clean without it."""

    def violations(seed: int, plant: str = "") -> list[str]:
        return World(seed, 60, plant=plant).run() + World(seed, 30, plant=plant, calm=True).run()

    def is_caught(seed: int) -> bool:
        return any(re.search(VIOLATIONS[fault], violation) for violation in violations(seed, fault))

    caught = next((seed for seed in range(60) if is_caught(seed)), None)
    assert caught is not None
    assert violations(caught) == []
