"""What an order's detail has of its payment."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.responses import Answer
from iso.currencies import rounded
from orders.models import Journey
from orders.status import Status
from payments.ledger import next_action
from payments.models import Transaction

ExpiresAt = Annotated[
    datetime | None,
    Meta(
        description="Until when the provider holds what is not captured; null: nothing is held, or without end."
    ),
]


class PaymentTransaction(Answer):
    """A request to the payment provider."""

    kind: str
    state: str
    amount: Decimal
    currency: str
    code: str | None
    started_at: datetime
    finished_at: datetime | None


class PaymentAction(Answer, omit_defaults=True):
    """What the customer has to do to complete the payment."""

    url: Annotated[str, Meta(description="Where to confirm it.")] | UnsetType = UNSET
    client_secret: (
        Annotated[str, Meta(description="For the provider's script in the shop's page.")] | UnsetType
    ) = UNSET
    pay_by: Annotated[datetime, Meta(description="The order is cancelled after it.")] | UnsetType = UNSET


def transaction_body(row: Transaction) -> PaymentTransaction:
    """Return a request to the payment provider."""
    return PaymentTransaction(
        kind=row.kind,
        state=row.state,
        amount=rounded(row.amount, row.currency),
        currency=row.currency,
        code=row.code or None,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def action_body(journey: Journey, transactions: Sequence[Transaction]) -> PaymentAction | None:
    """Return what the customer has to do now; for the owner only."""
    action = next_action(transactions) if journey.status == Status.PROCESSING else None
    return msgspec.convert(action, PaymentAction) if action else None
