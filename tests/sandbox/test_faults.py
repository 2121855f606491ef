"""Each scripted fault, as a client meets it, and what the ledger says of it."""

import uuid
from pathlib import Path

import pytest
import requests

from sandbox.process import SandboxProcess
from tests.sandbox.client import Customer, error_code


@pytest.fixture
def customer(sandbox: SandboxProcess) -> Customer:
    return Customer(sandbox.url)


def attempt(customer: Customer, key: str, timeout: float = 5) -> str:
    """What one authorization came to, in a word."""
    body = {"reference": customer.reference, "amount": "1.00", "currency": "USD", "token": "tok_visa"}
    try:
        answer = requests.post(
            f"{customer.payments}/authorizations",
            json=body,
            headers={"Idempotency-Key": key},
            timeout=timeout,
        )
        return f"{answer.status_code} {'ok' if 'id' in answer.json() else 'error'}"
    except requests.Timeout:
        return "timeout"
    except requests.JSONDecodeError:
        return "garbage"
    except requests.ConnectionError:
        return "hung up"


@pytest.mark.parametrize(
    ("script", "seen", "done"),
    [
        ({"errorRate": 1}, "500 error", False),
        ({"timeoutBeforeRate": 1, "timeoutSeconds": 30}, "timeout", False),
        ({"timeoutAfterRate": 1, "timeoutSeconds": 30}, "timeout", True),
        ({"timeoutAfterRate": 1, "timeoutSeconds": 0}, "504 error", True),
        ({"status500AfterRate": 1}, "500 error", True),
        ({"garbageRate": 1}, "garbage", True),
        ({"down": True}, "hung up", False),
    ],
)
def test_a_fault_is_seen_and_its_effect_is_in_the_ledger_or_not(sandbox, customer, script, seen, done):
    sandbox.set_faults("payments", **script)

    assert attempt(customer, f"{customer.reference}:1", timeout=0.3) == seen
    assert (customer.reference in sandbox.ledger()) is done


def test_the_same_seed_brings_the_same_run(sandbox, customer):
    script = {"errorRate": 0.3, "status500AfterRate": 0.3, "garbageRate": 0.3}
    keys = [f"{customer.reference}:{n % 20}" for n in range(60)]  # each key three times

    runs = []
    for seed in (7, 7, 8):
        sandbox.set_faults("payments", seed=seed, **script)
        runs.append([attempt(customer, key) for key in keys])

    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {"201 ok", "500 error", "garbage"}


def test_a_rate_is_about_met_and_falls_anew_for_every_try(sandbox, customer):
    sandbox.set_faults("payments", errorRate=0.5)
    results = [attempt(customer, f"{customer.reference}:{n}") for n in range(200)]
    again = [attempt(customer, f"{customer.reference}:{n}") for n in range(200)]

    assert 70 <= results.count("500 error") <= 130
    assert results != again


def test_it_counts_the_tries_of_a_key(sandbox, customer):
    sandbox.set_faults("payments", errorRate=1)
    for _ in range(3):
        attempt(customer, f"{customer.reference}:1")

    assert sandbox.tries("payments", f"{customer.reference}:1") == 3


def test_a_script_for_one_operation_leaves_the_others_alone(sandbox, customer):
    sandbox.set_faults("payments", operations=["capture"], errorRate=1)
    held = customer.authorize()

    assert held.status_code == 201
    assert customer.capture(held.json()["id"]).status_code == 500


def test_it_declines_scripted_cards_and_amounts(sandbox, customer):
    sandbox.set_faults("payments", declineTokens=["tok_visa"], declineAmounts=["13"])

    assert error_code(customer.authorize(token="tok_visa")) == "card_declined"
    assert error_code(customer.authorize("13.00", token="tok_other")) == "card_declined"
    assert customer.authorize("13.01", token="tok_other").status_code == 201


def test_a_provider_that_is_down_is_not_healthy_either_and_the_others_are(sandbox):
    sandbox.set_faults("payments", down=True)

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{sandbox.url}/payments/health", timeout=5)
    assert requests.get(f"{sandbox.url}/inventory/health", timeout=5).json()["status"] == "ok"
    assert requests.get(f"{sandbox.url}/", timeout=5).json()["troubled"] == ["payments"]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ({"errorRate": 1.5}, "invalid_request"),
        ({"errorrate": 1}, "invalid_request"),
        ({"operations": ["authorise"]}, "unknown_operation"),
    ],
)
def test_a_misspelt_script_is_refused(sandbox, script, code):
    answer = requests.put(f"{sandbox.url}/faults/payments", json=script, timeout=5)

    assert (answer.status_code, error_code(answer)) == (422, code)


def test_a_crash_keeps_ledger_faults_and_warehouse(own_sandbox):
    customer = Customer(own_sandbox.url)
    first = customer.authorize(key=f"{customer.reference}:1")
    own_sandbox.call("PUT", "/inventory/stock/LAPTOP", {"received": 7})
    own_sandbox.set_faults("email", seed=3, errorRate=0.5)

    own_sandbox.kill()
    own_sandbox.start()

    assert own_sandbox.ledger()[customer.reference]["authorized"] == "20.00"
    assert customer.authorize(key=f"{customer.reference}:1").content == first.content
    assert own_sandbox.call("GET", "/inventory/stock/LAPTOP") == {"sku": "LAPTOP", "received": 7}
    assert own_sandbox.call("GET", "/faults/email")["errorRate"] == 0.5


def test_the_warehouse_is_seeded_once(tmp_path: Path):
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text(
        "id,sku,name,category,description,price,weight_grams,stock\n1,A,a,c,d,1.00,5,40\n2,B,b,c,d,1.00,5,50\n"
    )
    warehouse = SandboxProcess(data=tmp_path / "data", catalogue=catalogue).start()
    try:
        warehouse.call("PUT", "/inventory/stock/A", {"received": 41})
        warehouse.stop()
        warehouse.start()
        first = warehouse.call("GET", "/inventory/stock?limit=1")
        second = warehouse.call("GET", f"/inventory/stock?limit=1&after={first['next']}")
    finally:
        warehouse.stop()

    assert first == {"items": [{"sku": "A", "received": 41}], "next": "A"}
    assert second == {"items": [{"sku": "B", "received": 50}], "next": None}


def test_a_message_is_taken_once_and_shown(sandbox):
    to = f"{uuid.uuid4()}@example.com"
    message = {"to": to, "subject": "Confirmed", "text": "Thank you."}
    headers = {"Idempotency-Key": to}
    taken = [
        requests.post(f"{sandbox.url}/email/messages", json=message, headers=headers, timeout=5) for _ in "ab"
    ]
    other = requests.post(
        f"{sandbox.url}/email/messages", json=message | {"text": "?"}, headers=headers, timeout=5
    )

    assert [answer.status_code for answer in taken] == [202, 202]
    assert error_code(other) == "idempotency_conflict"
    shown = sandbox.call("GET", f"/email/messages?to={to}")["items"]
    assert [(item["id"], item["subject"]) for item in shown] == [(taken[0].json()["id"], "Confirmed")]
