"""The conformance suite for gateways, on each of ours."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import requests
from pytest_django.fixtures import Settings

from payments.gateways.http import HttpGateway
from payments.gateways.in_process import InProcessGateway, Memory
from payments.gateways.manual import ManualGateway
from payments.gateways.protocol import Outcome
from payments.gateways.stripe.gateway import StripeGateway
from payments.models import ManualEntry
from sandbox.process import SandboxProcess
from tests.conformance import GatewayConformance, Rig, Tokens
from tests.conformance.receiver import Receiver
from tests.fixtures.stripe import HEADERS
from tests.waiting import until

AMOUNTS = (("20.00", "USD"), ("1999", "JPY"), ("12.340", "KWD"))
OPERATIONS = {"authorize": ["create", "confirm"], "void": ["cancel"]}


@contextmanager
def faults(sandbox: SandboxProcess, provider: str, kind: str, **script: float) -> Iterator[None]:
    operations = OPERATIONS.get(kind, [kind]) if provider == "stripe" else [kind]
    sandbox.set_faults(provider, operations=operations, **script)
    yield
    sandbox.clear_faults()


class TestInProcess(GatewayConformance):
    @pytest.fixture
    def rig(self) -> Rig:
        return Rig(InProcessGateway(Memory()), Tokens("tok_visa", "tok_declined"), AMOUNTS)


class PaidAtOnce(ManualGateway):
    """The customer pays at once, and staff have paid out what is to be paid back."""

    def authorize(self, **how: Any) -> Outcome:
        super().authorize(**how)
        facts = {name: how[name] for name in ("amount", "currency", "reference")}
        ManualEntry.objects.get_or_create(key=f"{how['key']}:paid", defaults=facts | {"kind": "received"})
        return super().authorize(**how)

    def void(self, **how: Any) -> Outcome:
        return self._again(super().void, how)

    def refund(self, **how: Any) -> Outcome:
        return self._again(super().refund, how)

    def _again(self, call: Callable[..., Outcome], how: dict[str, Any]) -> Outcome:
        if self.find(key=how["key"]) is None:
            assert call(**how | {"key": f"{how['key']}:before"}).code == "by_hand"
        return call(**how)


@pytest.mark.django_db
class TestManual(GatewayConformance):
    @pytest.fixture
    def rig(self) -> Rig:
        return Rig(PaidAtOnce(), Tokens("invoice"), AMOUNTS)


class TestHttp(GatewayConformance):
    @pytest.fixture
    def rig(self, stripe_sandbox: SandboxProcess, received: Receiver) -> Rig:
        return Rig(
            HttpGateway(),
            Tokens("tok_visa", "tok_declined"),
            AMOUNTS,
            errors_after=partial(faults, stripe_sandbox, "payments", status500AfterRate=1),
            throttled=partial(faults, stripe_sandbox, "payments", throttleRate=1),
            webhooks=received.about,
        )


class TestStripe(GatewayConformance):
    @pytest.fixture
    def rig(self, stripe_sandbox: SandboxProcess, received: Receiver) -> Rig:
        return Rig(
            StripeGateway(),
            Tokens(
                good="pm_card_visa",
                declined="pm_card_chargeDeclined",
                needs_customer="pm_card_authenticationRequired",
                slow="pm_debit",
                slow_refund="pm_card_pendingRefund",
            ),
            AMOUNTS,
            errors_after=partial(faults, stripe_sandbox, "stripe", status500AfterRate=1),
            throttled=partial(faults, stripe_sandbox, "stripe", throttleRate=1),
            decide=lambda name, to: stripe_sandbox.call("POST", f"/stripe/control/{name}", {"to": to}),
            forget_keys=lambda: stripe_sandbox.call("DELETE", "/stripe/keys"),
            webhooks=received.about,
        )

    def test_an_answer_that_is_not_stripes_declines_no_payment(
        self, stripe_sandbox: SandboxProcess, settings: Settings
    ) -> None:
        settings.PROVIDERS = settings.PROVIDERS | {"stripe": stripe_sandbox.url}
        outcome = StripeGateway().authorize(
            key="elsewhere", reference="elsewhere", amount=Decimal(20), currency="USD", token="pm_card_visa"
        )
        assert (outcome.kind, outcome.code) == ("not_sent", "wrong_address")


NO_WEBHOOKS = "Its last version that comes as a wheel sends none about payment intents."


class TestLocalstripe(GatewayConformance):
    """Localstripe ignores idempotency keys, which is harder than Stripe: a key forgotten at once."""

    @pytest.fixture
    def rig(self, localstripe: str, received: Receiver) -> Rig:
        card, debit = partial(card_of, localstripe), partial(debit_of, localstripe)
        return Rig(
            StripeGateway(),
            Tokens(
                good="pm_card_visa",
                declined=card("4000000000000341"),
                needs_customer=card("4000002500003155"),
                slow=debit("DE62370400440532013001"),
            ),
            AMOUNTS,
            decide=partial(decide, localstripe),
            forget_keys=lambda: None,
            webhooks=received.about,
            differs={
                "test_a_capture_in_part_releases_the_rest": "It counts the released rest as a refund.",
                "test_an_authorization_that_expired_counts_as_voided": "Its authorizations last.",
                "test_what_is_decided_later_is_found_decided[slow-succeeded]": (
                    "A debit that is captured by hand is held at once."
                ),
                "test_webhooks_report_the_calls_in_whatever_order_they_come": NO_WEBHOOKS,
                "test_a_webhook_with_a_wrong_signature_is_not_genuine": NO_WEBHOOKS,
            },
        )


def post(url: str, **fields: str) -> dict[str, str]:
    answer = requests.post(url, data=fields, headers=HEADERS, timeout=5)
    answer.raise_for_status()
    found: dict[str, str] = answer.json()
    return found


def card_of(url: str, number: str) -> str:
    names = {"number": number, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
    return post(
        f"{url}/v1/payment_methods",
        type="card",
        **{f"card[{name}]": value for name, value in names.items()},
    )["id"]


def debit_of(url: str, account: str) -> str:
    return post(f"{url}/v1/payment_methods", type="sepa_debit", **{"sepa_debit[iban]": account})["id"]


def decide(url: str, intent_id: str, to: str) -> None:
    """Confirm or refuse as the customer; a debit is decided by its account."""
    address = f"{url}/v1/payment_intents/{intent_id}"

    def intent() -> dict[str, str]:
        found: dict[str, str] = requests.get(address, headers=HEADERS, timeout=5).json()
        return found

    if intent()["status"] == "processing":
        until(lambda: intent()["status"] != "processing")
        return
    success = "true" if to == "succeeded" else "false"
    post(f"{address}/_authenticate", client_secret=intent()["client_secret"], success=success)
