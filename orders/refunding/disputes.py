"""Disputes: the customer's bank wants money back. They mark the order, and are money at risk until they are won."""

from django.db import transaction

from iso.currencies import format_amount
from orders.models import Journey
from payments import disputes
from payments.gateways.protocol import Event
from payments.models import Transaction

WORDS = "disputed by the customer"


def record_news(event: Event, *, order_id: int) -> bool:
    """Record what a webhook reports of a dispute. Return whether it was new."""
    with transaction.atomic():
        journeys = Journey.objects.lock([order_id])
        dispute = disputes.record(event, order_id=order_id)
        if dispute is None:
            return False
        for journey in journeys:
            if dispute.state == Transaction.State.DECLINED:
                journey.resolve(WORDS, why="dispute_won")
            else:
                journey.call_for_attention(_in_words(dispute))
        Journey.objects.save_all(journey for journey in journeys if journey.has_changed)
    return True


def _in_words(dispute: Transaction) -> str:
    end = ", and lost" if dispute.state == Transaction.State.SUCCEEDED else ""
    return f"{WORDS}{end}: {format_amount(dispute.amount, dispute.currency)} {dispute.code}".strip()
