"""The circuit breaker, as several processes see it."""

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from launcher.engines import free_port
from providers.breaker import Admission, Breaker, BreakerState, Policy, all_states, breaker
from providers.errors import ProviderUnavailable
from providers.http import provider
from providers.shared import shared_memory
from tests.waiting import until

# Quick to open and quick to forgive, so that a test need not wait for either.
EAGER = Policy(calls=4, first_pause=0.3, longest_pause=1.0, probe_patience=0.3, ramp=0, calm=0.2)
PATIENT = Policy(calls=4, first_pause=60)

CALLED = Admission(allowed=True)


@pytest.fixture
def name() -> Iterator[str]:
    name = f"test-{uuid.uuid4()}"
    yield name
    Breaker(name, EAGER).reset()


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.record(CALLED, ok=False)


def opened(name: str, policy: Policy) -> Breaker:
    breaker = Breaker(name, policy)
    fail(breaker, policy.calls)
    assert breaker.state().state == "open"
    return breaker


def probing(breaker: Breaker) -> Admission:
    """Wait out the pause, and return the admission of the probe."""

    def ask() -> Admission | None:
        admission = breaker.admit()
        return admission if admission.allowed else None

    admission = until(ask)
    assert admission
    assert admission.probe
    return admission


def pause_of(breaker: Breaker) -> float:
    """The length of the pause of an open one, in seconds."""
    state = breaker.state()
    assert state.state == "open"
    assert state.opened_at
    assert state.retry_at
    return (state.retry_at - state.opened_at).total_seconds()


def test_it_opens_when_enough_calls_failed(name):
    breaker = Breaker(name, PATIENT)

    fail(breaker, 3)
    assert breaker.admit().allowed

    fail(breaker, 1)
    refusal = breaker.admit()
    assert not refusal.allowed
    assert 50 < refusal.retry_after <= 60


def test_an_open_one_tells_which_failures_opened_it(name):
    breaker = Breaker(name, PATIENT)
    breaker.record(CALLED, ok=True)
    fail(breaker, 3)
    state = Breaker(name, PATIENT).state()
    assert (state.state, state.failures, state.calls) == ("open", 3, 4)


def test_it_stays_closed_while_most_calls_succeed(name):
    breaker = Breaker(name, PATIENT)
    for _ in range(20):
        breaker.record(CALLED, ok=True)

    fail(breaker, 19)
    assert breaker.state().state == "closed"

    fail(breaker, 1)
    assert breaker.state().state == "open"


def test_another_process_is_refused_as_well(name):
    opened(name, PATIENT)

    assert not Breaker(name, PATIENT).admit().allowed
    assert ask_in_another_process(name) == "refused"


def test_the_failures_of_two_processes_add_up(name):
    breaker = Breaker(name, PATIENT)
    fail(breaker, 2)

    fail_in_another_process(name, 2)

    assert breaker.state().state == "open"


def in_another_process(code: str, *arguments: str) -> str:
    start = "import sys, django; django.setup(); from providers.breaker import *; "
    start += "b = Breaker(sys.argv[1], Policy(calls=4, first_pause=60)); "
    command = [sys.executable, "-c", start + code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def ask_in_another_process(name: str) -> str:
    return in_another_process("print('allowed' if b.admit().allowed else 'refused')", name)


def fail_in_another_process(name: str, times: int) -> None:
    in_another_process(
        "[b.record(Admission(True), ok=False) for _ in range(int(sys.argv[2]))]", name, str(times)
    )


def test_exactly_one_of_many_becomes_the_probe(name):
    opened(name, EAGER)
    many = [Breaker(name, EAGER) for _ in range(16)]
    until(lambda: is_over(many[0].state()))

    with ThreadPoolExecutor(16) as pool:
        admissions = list(pool.map(lambda one: one.admit(), many))

    assert sum(admission.allowed for admission in admissions) == 1
    assert sum(bool(admission.probe) for admission in admissions) == 1


def is_over(state: BreakerState) -> bool:
    return state.retry_at is not None and state.retry_at < datetime.now(UTC)


def test_it_closes_when_the_probe_succeeds(name):
    breaker = opened(name, EAGER)

    breaker.record(probing(breaker), ok=True)

    assert breaker.state().state == "closed"
    assert all(breaker.admit().allowed for _ in range(100))


def test_it_pauses_twice_as_long_when_the_probe_fails(name):
    breaker = opened(name, EAGER)

    breaker.record(probing(breaker), ok=False)

    assert pause_of(breaker) == pytest.approx(0.6, abs=0.001)


def test_a_pause_has_a_longest(name):
    breaker = opened(name, EAGER)
    for _ in range(3):
        breaker.record(probing(breaker), ok=False)

    assert pause_of(breaker) == pytest.approx(1.0, abs=0.001)


def test_only_the_probe_decides(name):
    breaker = opened(name, EAGER)
    probe = probing(breaker)

    breaker.record(CALLED, ok=True)
    breaker.record(CALLED, ok=False)
    assert breaker.state().state == "half_open"

    breaker.record(probe, ok=True)
    assert breaker.state().state == "closed"


def test_a_probe_whose_process_died_is_followed_by_another(name):
    breaker = opened(name, EAGER)
    lost = probing(breaker)

    second = probing(breaker)
    breaker.record(lost, ok=False)  # it was not dead after all: its news is old

    assert breaker.state().state == "half_open"
    breaker.record(second, ok=True)
    assert breaker.state().state == "closed"


def test_traffic_comes_back_by_and_by(name):
    breaker = opened(name, Policy(calls=4, first_pause=0.1, ramp=30, first_allowance=5))
    breaker.record(probing(breaker), ok=True)

    allowed = [breaker.admit().allowed for _ in range(100)]

    # The machine may be slow enough for a second or two of the ramp to pass, never for more.
    assert 5 <= sum(allowed) < 40


def test_an_invitation_shortens_the_pause(name):
    breaker = opened(name, PATIENT)

    breaker.invite()

    assert breaker.admit().probe


def test_an_invitation_to_a_closed_one_changes_nothing(name):
    breaker = Breaker(name, PATIENT)

    breaker.invite()

    assert breaker.state() == BreakerState(name, "closed")
    assert not breaker.admit().probe


def test_without_valkey_every_call_goes_through(settings, name):
    settings.CACHE_URL = f"redis://127.0.0.1:{free_port()}/1"
    breaker = Breaker(name, PATIENT)
    fail(breaker, 10)

    assert all(breaker.admit().allowed for _ in range(100))
    assert breaker.state().state == "unknown"


def test_a_frozen_valkey_is_not_asked_for_every_call(settings, name):
    with socket.create_server(("127.0.0.1", 0), backlog=128) as frozen:
        settings.CACHE_URL = f"redis://127.0.0.1:{frozen.getsockname()[1]}/1"
        breaker = Breaker(name, PATIENT)

        assert all(breaker.admit().allowed for _ in range(100))

        frozen.setblocking(False)
        assert connections_waiting(frozen) < 10


def connections_waiting(server: socket.socket) -> int:
    found = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            found += 1
    return found


def test_a_provider_in_trouble_is_asked_no_more(providers_at_sandbox):
    sandbox = providers_at_sandbox
    sandbox.set_faults("payments", errorRate=1)
    failures = [refusal_of(provider("payments")) for _ in range(8)]

    assert sandbox.tries("payments") == 10  # eight calls of up to three tries each: the eleventh was not made
    assert "its breaker is open" in failures[-1]
    assert {state.name: state.state for state in all_states()} == {
        "payments": "open",
        "inventory": "closed",
        "email": "closed",
    }


def test_refusals_do_not_open_it(providers_at_sandbox):
    for _ in range(30):
        with pytest.raises(Exception, match="not_found"):
            provider("payments").get("/operations/nobody-knows-it")

    assert breaker("payments").state().state == "closed"


def refusal_of(client) -> str:
    try:
        client.get("/operations/nobody-knows-it")
    except ProviderUnavailable as unavailable:
        return unavailable.reason
    return ""


# --- A clock that was ahead -------------------------------------------------------------------------------

AHEAD = 3 * 86_400


def ahead(name: str, **moments: str) -> Breaker:
    """Return a breaker whose state was written while the clock was three days ahead."""
    breaker = Breaker(name, PATIENT)
    future = str(shared_memory().ask(lambda valkey: valkey.time()[0], otherwise=0) + AHEAD)
    state: dict[Any, Any] = {
        field: future if value == "future" else value for field, value in moments.items()
    }
    shared_memory().ask(lambda valkey: valkey.hset(breaker._keys[0], mapping=state), otherwise=0)
    return breaker


def test_one_that_opened_while_the_clock_was_ahead_lets_a_probe_through(name):
    admission = ahead(name, state="open", retry_at="future", opened_at="future").admit()
    assert admission.allowed
    assert admission.probe


def test_a_probe_that_was_lost_while_the_clock_was_ahead_is_followed_by_another(name):
    assert ahead(name, state="half_open", probe="lost", probe_until="future").admit().probe


def test_one_that_closed_while_the_clock_was_ahead_lets_calls_through(name):
    assert ahead(name, state="closed", closed_at="future").admit().allowed


def test_failures_counted_while_the_clock_was_ahead_are_forgotten(name):
    breaker = Breaker(name, PATIENT)
    slot = int(shared_memory().ask(lambda valkey: valkey.time()[0], otherwise=0) + AHEAD) // int(PATIENT.slot)
    window: dict[Any, Any] = {f"{slot}:calls": 100, f"{slot}:failures": 100}
    shared_memory().ask(lambda valkey: valkey.hset(breaker._keys[1], mapping=window), otherwise=0)
    fail(breaker, 1)
    state = breaker.state()
    assert (state.state, state.calls) == ("closed", 1)
