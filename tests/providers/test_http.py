"""Calls to a provider as it fails in every way, over real HTTP, counted at the other end."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from requests.adapters import HTTPAdapter

from payments.gateways.http import HttpGateway
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import ProviderClient, provider
from sandbox.process import SandboxProcess, free_port


@pytest.fixture
def sandbox(providers_at_sandbox: SandboxProcess) -> SandboxProcess:
    return providers_at_sandbox


@pytest.fixture
def payments(sandbox: SandboxProcess) -> ProviderClient:
    return provider("payments")


def authorize(payments: ProviderClient, key: str, token: str = "tok_visa"):
    body = {"reference": key, "amount": "1.00", "currency": "USD", "token": token}
    return payments.post("/authorizations", body, key=key)


def test_it_returns_what_the_provider_answers(payments, key):
    assert authorize(payments, key)["id"] == payments.get(f"/operations/{key}")["id"]


def test_it_raises_a_refusal_with_its_code_and_tries_no_further(sandbox, payments, key):
    sandbox.set_faults("payments", latencyMs=1)

    with pytest.raises(ProviderRefused) as refused:
        authorize(payments, key, token="tok_declined")

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
def test_it_tries_again_with_the_same_key_and_then_says_that_nobody_knows(sandbox, payments, key, script):
    sandbox.set_faults("payments", **script)

    with pytest.raises(OutcomeUnknown):
        authorize(payments, key)

    assert sandbox.tries("payments", key) == 3


@pytest.mark.parametrize(
    "script",
    [
        {"status500AfterRate": 0.6},
        {"garbageRate": 0.6},
        {"errorRate": 0.6},
    ],
)
def test_a_later_try_brings_the_answer_and_the_deed_is_done_once(sandbox, payments, script):
    sandbox.set_faults("payments", seed=1, **script)
    # The same each time: what fails depends on them, and too many failures in a row would open the breaker.
    keys = [f"{uuid.uuid5(uuid.NAMESPACE_OID, f'{script} {number}')}" for number in range(8)]

    outcomes = [_answered(payments, key) for key in keys]

    assert any(outcomes)
    assert sum(sandbox.tries("payments", key) for key in keys) > len(keys)
    ledger = sandbox.ledger()
    assert all(ledger[key]["authorized"] == "1.00" for key, done in zip(keys, outcomes, strict=True) if done)


def _answered(payments: ProviderClient, key: str) -> bool:
    try:
        return "id" in authorize(payments, key)
    except (OutcomeUnknown, ProviderUnavailable):
        return False


@pytest.mark.parametrize("script", [{"timeoutBeforeRate": 1}, {"timeoutAfterRate": 1}])
def test_a_provider_that_does_not_answer_leaves_us_in_doubt(sandbox, payments, key, script):
    sandbox.set_faults("payments", **script)

    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        authorize(payments, key)

    # The pauses between the tries come out of the same time, so the third may not fit in.
    assert sandbox.tries("payments", key) in (2, 3)


def test_a_provider_that_hangs_up_leaves_us_in_doubt(sandbox, payments, key):
    sandbox.set_faults("payments", down=True)

    with pytest.raises(OutcomeUnknown):
        authorize(payments, key)


def test_a_reading_is_never_in_doubt(sandbox, payments, key):
    sandbox.set_faults("payments", down=True)

    with pytest.raises(ProviderUnavailable):
        payments.get(f"/operations/{key}")


def test_a_provider_that_nobody_answers_for_was_sent_nothing(settings, sandbox, key):
    settings.PROVIDERS = {"payments": f"http://127.0.0.1:{free_port()}/payments"}

    with pytest.raises(ProviderUnavailable, match="no connection"):
        authorize(provider("payments"), key)


def test_all_tries_together_keep_to_their_time(sandbox, payments, key):
    sandbox.set_faults("payments", timeoutBeforeRate=1)
    started = time.monotonic()

    with pytest.raises(OutcomeUnknown):
        authorize(payments, key)

    # Three tries of half a second. The sandbox holds each for 30 s, so a busy machine has room and a full wait none.
    assert time.monotonic() - started < 20


def test_a_connection_serves_one_call_after_the_other(sandbox, payments):
    authorize(payments, str(uuid.uuid4()))
    opened = connections_opened(payments, sandbox.url)

    for _ in range(5):
        authorize(payments, str(uuid.uuid4()))

    assert connections_opened(payments, sandbox.url) == opened


def connections_opened(client: ProviderClient, url: str) -> int:
    """How many connections the client has made in its life."""
    adapter = client._session.get_adapter(url)
    assert isinstance(adapter, HTTPAdapter)
    pools = adapter.poolmanager.pools
    return sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118 - not a dict


def test_it_has_no_more_calls_under_way_than_it_may(settings, sandbox):
    settings.PROVIDER_CONCURRENCY = 2
    settings.EXTERNAL_TIMEOUT_SECONDS, settings.EXTERNAL_RETRY_ATTEMPTS = 0.4, 1
    sandbox.set_faults("payments", timeoutBeforeRate=1)
    client = provider("payments")
    keys = [str(uuid.uuid4()) for _ in range(6)]

    with ThreadPoolExecutor(6) as pool:
        failures = list(pool.map(lambda key: _failure(client, key), keys))

    # Two hang until they time out; the others had no time left of their own once a slot was free.
    assert sum(sandbox.tries("payments", key) for key in keys) < len(keys)
    assert failures.count(OutcomeUnknown) >= 2
    assert ProviderUnavailable in failures


def _failure(client: ProviderClient, key: str) -> type[Exception] | None:
    try:
        authorize(client, key)
    except (OutcomeUnknown, ProviderUnavailable) as failure:
        return type(failure)
    return None


def test_it_streams_lines_and_notices_when_they_break_off(sandbox, payments, key):
    authorize(payments, key)

    assert key in {line["reference"] for line in payments.lines("/ledger")}


# What the sandbox is too well-behaved for: raw bytes from a socket.


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
def test_an_answer_that_is_none_leaves_us_in_doubt(raw_server, key, answer):
    raw_server.answer = answer

    with pytest.raises(OutcomeUnknown):
        authorize(provider("payments"), key)


@pytest.mark.parametrize("drip", [b" ", b" " * 1_000_000], ids=["dripping", "endless"])
def test_an_answer_without_end_is_cut_off(settings, raw_server, key, drip):
    settings.EXTERNAL_RETRY_ATTEMPTS = 1
    raw_server.answer, raw_server.then_drip = b"HTTP/1.1 201 Created\r\n\r\n", drip

    with pytest.raises(OutcomeUnknown, match="its answer"):
        authorize(provider("payments"), key)


def test_it_waits_as_long_as_it_is_told_but_no_longer_than_it_has(raw_server, key):
    raw_server.answer = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"

    with pytest.raises(ProviderUnavailable) as unavailable:
        authorize(provider("payments"), key)

    # The five seconds that an hour is capped to are more than the tries may take together.
    assert (raw_server.calls, unavailable.value.retry_after) == (1, 5.0)


def test_a_short_wait_is_waited(raw_server, key):
    raw_server.answer = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"

    with pytest.raises(OutcomeUnknown):
        authorize(provider("payments"), key)

    assert raw_server.calls == 3


def test_a_refusal_in_html_is_a_refusal(raw_server, key):
    raw_server.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>"

    with pytest.raises(ProviderRefused) as refused:
        authorize(provider("payments"), key)

    assert (refused.value.code, refused.value.message) == ("refused", "(status 404)")


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"<html>", "not_sent", "(status 404)"),
        (b'{"error": {"message": "No such token."}}', "declined", "No such token. (status 404)"),
    ],
)
def test_a_404_from_elsewhere_declines_no_payment(raw_server, key, body, kind, message):
    raw_server.answer = b"HTTP/1.1 404 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    outcome = HttpGateway().authorize(
        key=key, reference=key, amount=Decimal(20), currency="USD", token="tok_visa"
    )
    assert (outcome.kind, outcome.code, outcome.message) == (kind, "refused", message)


def test_a_refusal_without_a_code_keeps_its_message_and_status(raw_server, key):
    body = b'{"error": {"message": "Merchant is blocked."}}'
    raw_server.answer = b"HTTP/1.1 422 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with pytest.raises(ProviderRefused) as refused:
        authorize(provider("payments"), key)

    assert (refused.value.code, refused.value.message) == ("refused", "Merchant is blocked. (status 422)")
