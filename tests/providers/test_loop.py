"""Conversations on the process's loop: the same promises as on a thread, for a thousand at once."""

import os
import threading
import time
import uuid
from typing import Any

import pytest

from providers.breaker import breaker
from providers.conversation import Conversation, doing, reading
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import Call
from providers.loop import Job, Lane, NotBegun, Turn, loop
from providers.together import together
from sandbox.process import SandboxProcess, free_port
from tests.waiting import until

PATIENT = 30.0


@pytest.fixture
def sandbox(providers_at_sandbox: SandboxProcess) -> SandboxProcess:
    return providers_at_sandbox


def saying(*calls: Call) -> Conversation[Any]:
    """Make some calls, one after the other; return the content of the last answer."""
    content = None
    for call in calls:
        content = yield call
    return content


def authorization(key: str, token: str = "tok_visa") -> Call:
    body = {"reference": key, "amount": "1.00", "currency": "USD", "token": token}
    return doing("/authorizations", body, key=key)


def outcome_of(conversation: Conversation[Any], **how: Any) -> Any:
    """Hold it on the loop and return the outcome of it; raises what it raises."""
    results: list[Any] = []
    loop().submit("payments", [Job(conversation, results.append, **how)])
    result = until(lambda: results, seconds=PATIENT)[0]
    if isinstance(result, Exception):
        raise result
    return result


def test_it_returns_what_the_provider_answers_call_by_call(sandbox, key):
    found = outcome_of(saying(authorization(key), reading(f"/operations/{key}")))

    assert (found["kind"], found["status"]) == ("authorize", "succeeded")


def test_it_raises_a_refusal_with_its_code_and_tries_no_further(sandbox, key):
    sandbox.set_faults("payments", latencyMs=1)

    with pytest.raises(ProviderRefused) as refused:
        outcome_of(saying(authorization(key, "tok_declined")))

    assert (refused.value.status, refused.value.code) == (402, "card_declined")
    assert sandbox.tries("payments", key) == 1


@pytest.mark.parametrize(
    "script",
    [
        {"errorRate": 1},
        {"timeoutBeforeRate": 1, "timeoutSeconds": 0},
        {"timeoutAfterRate": 1, "timeoutSeconds": 0},
        {"status500AfterRate": 1},
        {"garbageRate": 1},
    ],
)
def test_it_tries_again_with_the_same_key_and_then_leaves_the_outcome_unknown(sandbox, key, script):
    sandbox.set_faults("payments", **script)

    with pytest.raises(OutcomeUnknown):
        outcome_of(saying(authorization(key)))

    assert sandbox.tries("payments", key) == 3


def test_a_provider_that_does_not_answer_leaves_doubt_about_a_deed_and_none_about_a_reading(sandbox, key):
    sandbox.set_faults("payments", timeoutAfterRate=1)
    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        outcome_of(saying(authorization(key)))

    sandbox.set_faults("payments", down=True)
    with pytest.raises(ProviderUnavailable):
        outcome_of(saying(reading(f"/operations/{key}")))


def test_one_place_in_eight_is_kept_for_jobs_that_do_not_begin_last(settings, sandbox):
    settings.PROVIDER_CALLS_IN_FLIGHT = 8
    lane = Lane("payments", settings.PROVIDERS["payments"])
    lane.load = lane.window.allowance - lane.window.allowance // 8
    assert lane.room(Turn.LAST) == 0
    assert lane.room(Turn.SOON) == lane.room(Turn.FIRST) == lane.window.allowance // 8 > 0


def test_a_provider_that_cannot_be_reached_was_sent_nothing(settings, sandbox, key):
    settings.PROVIDERS = {"payments": f"http://127.0.0.1:{free_port()}/payments"}

    with pytest.raises(ProviderUnavailable, match="no connection"):
        outcome_of(saying(authorization(key)))


def test_a_certificate_that_nobody_vouches_for_is_sent_nothing(settings, raw_server, key):
    settings.PROVIDERS = {"payments": raw_server.url.replace("http:", "https:")}

    with pytest.raises(ProviderUnavailable, match="the connection broke"):
        outcome_of(saying(authorization(key)))


def test_a_proxy_of_the_environment_is_used(settings, monkeypatch, raw_server, key):
    monkeypatch.setenv("http_proxy", raw_server.url)
    settings.PROVIDERS = {"payments": "http://provider.example/payments"}
    raw_server.answer = b'HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{"id":"p"}'

    assert outcome_of(saying(authorization(key))) == {"id": "p"}


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"id":',
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"\x00\x01\x02 not HTTP at all\r\n\r\n",
        b"",
    ],
    ids=["truncated", "empty", "redirect", "not HTTP", "hung up"],
)
def test_an_answer_that_is_none_leaves_doubt(raw_server, key, answer):
    raw_server.answer = answer

    with pytest.raises(OutcomeUnknown):
        outcome_of(saying(authorization(key)))


@pytest.mark.parametrize("drip", [b" ", b" " * 1_000_000], ids=["dripping", "endless"])
def test_an_answer_without_end_is_cut_off(settings, raw_server, key, drip):
    settings.EXTERNAL_RETRY_ATTEMPTS = 1
    raw_server.answer, raw_server.then_drip = b"HTTP/1.1 201 Created\r\n\r\n", drip

    with pytest.raises(OutcomeUnknown, match=r"its answer exceeds|no answer in time"):
        outcome_of(saying(authorization(key)))


def test_it_waits_as_long_as_it_is_told_but_no_longer_than_it_has(raw_server, key):
    raw_server.answer = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"

    with pytest.raises(ProviderUnavailable) as unavailable:
        outcome_of(saying(authorization(key)))

    assert (raw_server.calls, unavailable.value.retry_after) == (1, 5.0)


def test_an_open_breaker_lets_nothing_through(raw_server):
    breaker("payments").reset()
    breaker("payments").record_all(successes=0, failures=10)
    results: list[Any] = []
    for _ in range(50):
        loop().submit("payments", [Job(saying(authorization("k")), results.append)])

    until(lambda: len(results) == 50)
    assert {type(result) for result in results} == {ProviderUnavailable}
    assert all("breaker" in str(result) for result in results)
    assert raw_server.calls == 0


def test_one_call_probes_for_all_when_the_breaker_lets_one_through(sandbox):
    breaker("payments").record_all(successes=0, failures=10)
    breaker("payments").invite()

    assert outcome_of(saying(reading("/operations", reference="none")))["items"] == []
    assert breaker("payments").state().state == "closed"


def test_a_thousand_wait_at_once_and_the_window_bounds_them(settings, sandbox):
    settings.EXTERNAL_TIMEOUT_SECONDS = 20.0
    sandbox.set_faults("payments", latencyMs=300)
    threads = threading.active_count()
    conversations = [saying(reading("/operations", reference=str(n))) for n in range(1000)]

    gathered = together("payments", conversations, patience=PATIENT, on_late=lambda *_: None)

    assert len(gathered.results) == 1000
    assert threading.active_count() <= threads + 3


def test_a_slow_answer_holds_up_no_other_and_is_reported_later(settings, sandbox, key):
    settings.EXTERNAL_TIMEOUT_SECONDS = PATIENT
    late: list[Any] = []
    sandbox.set_faults("payments", latencyMs=1500, operations=["authorize"])
    calls = [saying(reading("/operations", reference=key)), saying(authorization(key))]

    gathered = together(
        "payments",
        calls,
        patience=0.5,
        on_late=lambda answers: late.extend((place, answer["kind"]) for place, answer in answers),
    )

    assert (set(gathered.results), gathered.late) == ({0}, frozenset({1}))
    assert until(lambda: late, seconds=PATIENT) == [(1, "authorize")]


def test_what_comes_to_its_turn_too_late_is_not_begun(sandbox, key):
    with pytest.raises(NotBegun):
        outcome_of(saying(authorization(key)), begin_by=time.monotonic() - 1)
    assert sandbox.tries("payments", key) == 0


def test_what_a_conversation_raises_reaches_whoever_submitted_it(sandbox):
    def broken() -> Conversation[None]:
        yield reading("/operations", reference="none")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outcome_of(broken())


def test_a_child_has_a_loop_of_its_own(sandbox):
    """A fork takes neither the thread nor the connections along."""
    ours = loop()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        is_well = False
        try:
            is_well = (
                loop() is not ours and outcome_of(saying(reading("/operations", reference="x"))) is not None
            )
        finally:
            os.write(writer, b"1" if is_well else b"0")
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"1"
    os.close(reader)


def test_admission_is_for_as_many_as_the_ramp_has_left():
    name = f"ramp-{uuid.uuid4()}"
    watch = breaker(name)
    watch.record_all(successes=0, failures=10)
    watch.invite()
    watch.record(watch.admit(), ok=True)

    assert [watch.admit(15).calls, watch.admit(15).calls] == [15, 5]
    assert not watch.admit(15).allowed


def test_what_is_begun_goes_first_and_bulks_go_last(settings) -> None:
    lane = Lane("payments", settings.PROVIDERS["payments"])
    jobs = {turn: Job(saying(authorization(turn.name)), print) for turn in Turn}
    for turn in (Turn.LAST, Turn.FIRST, Turn.SOON):
        lane.queues[turn].append(jobs[turn])
    assert [lane.next() for _ in Turn] == [jobs[Turn.FIRST], jobs[Turn.SOON], jobs[Turn.LAST]]
