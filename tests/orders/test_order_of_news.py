"""What the provider did is fixed; its news come in any order, some never, some twice, and the customer cancels.

Each order hears its own sequence of news, and all of them end with the same money and the same stock.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import NamedTuple

import pytest

from inventory.models import Reservation
from orders import commands
from orders.maintenance import audit
from orders.models import Journey
from orders.payment import answers
from orders.payment.answers import Answered
from orders.placing.single import Placed
from orders.refunding import reversals
from orders.status import Status
from payments.calls import Prepared, Request
from payments.gateways.protocol import Outcome
from payments.ledger import Kind, State
from payments.models import Transaction
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_user
from tests.fixtures.pipeline import make_everything_due, work_off
from tests.fixtures.undecided import CUSTOMER, UndecidedGateway

pytestmark = pytest.mark.django_db(transaction=True)

FACTS = {"paid": Outcome("succeeded"), "declined": Outcome("declined", code="card_declined")}
# A webhook, the answer to a call or look-up, such an answer from before the decision, a look-up, a cancellation.
NEWS = WEBHOOK, ANSWER, OUTDATED, LOOK_UP = "webhook", "answer", "outdated answer", "look-up"
CANCELLATION = "cancellation"


class Story(NamedTuple):
    """An order, and the news that it hears."""

    order: Placed
    news: tuple[str, ...]


def sequences() -> Iterator[tuple[str, ...]]:
    """Yield all news up to two, also the same twice, with a cancellation anywhere or nowhere."""
    for length in range(3):
        for heard in product(NEWS, repeat=length):
            yield heard
            for place in range(length + 1):
                yield (*heard[:place], CANCELLATION, *heard[place:])


def hear(story: Story, news: str, outcome: Outcome) -> None:
    """Apply one piece of news."""
    order_id = story.order.order_id
    entry = Transaction.objects.get(order_id=order_id, kind="authorize")
    match news:
        case "webhook":
            reversals.record_news(entry, outcome)
        case "answer" | "outdated answer":
            old = Outcome("action_required", provider_id=entry.provider_id)
            request = Request(order_id, str(entry.reference), entry.amount, entry.currency)
            asked = Prepared(request, Kind.AUTHORIZE, State.UNKNOWN, False, database_now().isoformat(), 0.0)
            # The captures that follow are never sent: the process dies.
            answers.take([Answered(asked, outcome if news == ANSWER else old)])
        case "look-up":
            Journey.objects.filter(order_id=order_id, due_at__isnull=False).update(due_at=database_now())
        case "cancellation":
            if Journey.objects.get(order_id=order_id).status != Status.REJECTED:
                commands.cancel_order(order_id=order_id, reason="Changed my mind")


@pytest.mark.parametrize("fact", FACTS)
def test_whatever_the_order_of_the_news_money_and_stock_are_the_same(
    provider: UndecidedGateway, fact: str
) -> None:
    make_shipping()
    owner, thing, told = make_user(), make_product(units=1000), list(sequences())
    stories = []
    # Every other order never hears the answer to its authorization.
    for is_lost in (False, True):
        provider.loses_answers = is_lost
        stories += [
            Story(make_order((thing, 1), owner=owner, token=CUSTOMER), news) for news in told[is_lost::2]
        ]
        work_off()
    for story in stories:
        provider.decide(story.order.uuid, FACTS[fact])

    for place in range(max(len(story.news) for story in stories)):
        for story in stories:
            if place < len(story.news):
                outcome = FACTS[fact]._replace(provider_id=provider.id_of(story.order.uuid))
                hear(story, story.news[place], outcome)
        if place % 2:
            work_off()
    # So long that no call can still arrive.
    Transaction.objects.update(asked_at=database_now() - timedelta(hours=1))
    for _ in range(3):
        make_everything_due()
        work_off()

    ends = {(CANCELLATION in story.news, *_end(provider, story.order)) for story in stories}
    kept = stories[0].order.goods_amount + 5 if fact == "paid" else 0
    assert ends == {(False, kept, 0, kept > 0), (True, 0, 0, False)}
    assert [str(violation) for violation in audit.run().violations] == []


def _end(provider: UndecidedGateway, order: Placed) -> tuple[object, ...]:
    """Return what the shop has of an order's money, what is still held, and whether units are reserved."""
    held, captured, refunded = provider.balance(order.uuid)
    return captured - refunded, held, Reservation.objects.filter(order_id=order.order_id).exists()
