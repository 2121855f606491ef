"""Calls to payment providers, as the ledger records them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple, Self

from django.conf import settings

from payments.balance import Entry
from payments.gateways.protocol import Outcome, Sent
from payments.models import Transaction, idempotency_key, number_of, rank_of

Kind = Transaction.Kind
State = Transaction.State


class Request(NamedTuple):
    order_id: int
    reference: str
    amount: Decimal
    currency: str
    token: str = ""
    parent: str = ""
    # Empty: the default.
    gateway: str = ""
    # 0: the first of its kind.
    number: int = 0
    # See `Transaction`.
    parent_number: int | None = None
    attempt: int = 1
    credit: int | None = None

    @classmethod
    def on(
        cls,
        parent: Entry,
        *,
        order_id: int,
        amount: Decimal,
        number: int,
        attempt: int = 1,
        credit: int | None = None,
    ) -> Self:
        """Return the request of a transaction that follows another: a capture, void or refund."""
        return cls(
            order_id=order_id,
            reference=str(parent.reference),
            amount=amount,
            currency=parent.currency,
            parent=parent.provider_id,
            gateway=parent.gateway,
            number=number,
            parent_number=parent.number,
            attempt=attempt,
            credit=credit,
        )


class Asked(NamedTuple):
    """Requests as a query: the database has most values."""

    query: str
    parameters: Sequence[str | None]
    is_numbered: bool = False


class Prepared(NamedTuple):
    """A recorded transaction: new, sent with an unknown outcome, or decided."""

    request: Request
    kind: Kind
    state: State
    is_new: bool
    # By the database's clock, as text, and by this process's.
    asked_at: str
    since: float
    provider_id: str = ""
    code: str = ""

    @property
    def number(self) -> int:
        return self.request.number or FIRST[self.kind]

    @property
    def key(self) -> str:
        # Hot path: next to all are the first of their kind.
        rank = rank_of(self.request.number) if self.request.number else 1
        return idempotency_key(reference=self.request.reference, kind=self.kind, rank=rank)

    @property
    def gateway(self) -> str:
        return self.request.gateway or settings.PAYMENT_GATEWAY

    @property
    def sent(self) -> Sent:
        """The facts for a look-up."""
        request = self.request
        return Sent(
            self.kind.value,
            request.reference,
            request.amount,
            request.currency,
            request.parent,
            self.provider_id,
        )

    @property
    def outcome(self) -> Outcome | None:
        if self.state is State.UNKNOWN:
            return None
        return Outcome(
            kind="succeeded" if self.state is State.SUCCEEDED else "declined",
            provider_id=self.provider_id,
            code=self.code,
        )


# Numbers of the first of each kind, and of what it builds on.
FIRST = {kind: number_of(kind) for kind in Kind}
BASE = {
    Kind.CAPTURE: FIRST[Kind.AUTHORIZE],
    Kind.VOID: FIRST[Kind.AUTHORIZE],
    Kind.REFUND: FIRST[Kind.CAPTURE],
}
