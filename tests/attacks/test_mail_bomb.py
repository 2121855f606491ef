"""Orders with another person's address: few e-mails, and no text of the attacker's."""

import json

import pytest
from django.test import Client

from notifications import delivery, journal_reader
from notifications.models import Notification
from providers.breaker import breaker
from tests.factories import make_product, make_shipping, make_user
from tests.fixtures.pipeline import make_everything_due, work_off
from tests.notifications.conftest import token_of

pytestmark = pytest.mark.django_db(transaction=True)

VICTIM = "victim@example.org"
BAIT = "You won! Claim at https://evil.example/claim?u="
ORDERS = 300
LIMIT = 5


@pytest.fixture(autouse=True)
def mailbox(providers, settings):
    settings.MAILS_PER_RECIPIENT_PER_HOUR = LIMIT
    breaker("email").reset()
    providers.call("DELETE", "/email/messages")
    make_shipping()
    yield providers
    breaker("email").reset()


def place_in_bulk(number: int, *, token: str) -> None:
    product = make_product(units=10_000)
    lines = [
        {
            "key": f"bomb-{n}",
            "customerName": f"{BAIT}{n}",
            "email": VICTIM,
            "payment": {"token": token},
            "items": [{"productId": product.pk, "quantity": 1}],
        }
        for n in range(number)
    ]
    answer = Client(headers={"Authorization": token_of(make_user())}).post(
        "/api/orders/bulk", "\n".join(map(json.dumps, lines)), content_type="application/x-ndjson"
    )
    taken = [json.loads(line) for line in b"".join(answer).splitlines()]
    assert sum("orderId" in line for line in taken) == number, taken[:2]
    work_off()
    make_everything_due()
    work_off()


def mails(mailbox) -> list[dict[str, str]]:
    while journal_reader.record_page():
        pass
    while delivery.deliver_batch():
        pass
    return mailbox.call("GET", "/email/messages?limit=1000")["items"]


def test_declined_orders_send_the_victim_nothing(mailbox):
    place_in_bulk(ORDERS, token="tok_declined")

    assert mails(mailbox) == []
    assert Notification.objects.filter(state="dropped", kind="rejected").count() == ORDERS


def test_paid_orders_send_the_victim_a_few_without_the_attackers_words(mailbox):
    place_in_bulk(LIMIT * 2, token="tok_demo")

    sent = mails(mailbox)

    assert len(sent) == LIMIT
    assert Notification.objects.filter(state="dropped").count() == LIMIT
    for mail in sent:
        assert "evil.example" not in "".join(mail.values())
        assert "You won" not in "".join(mail.values())
        assert mail["text"].startswith("Hi,\n")
