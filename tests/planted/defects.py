"""Each defect: what it replaces by what. A function, so that it wraps whatever is in place when it is planted."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import count
from typing import Any

from kombu.exceptions import OperationalError as BrokerError
from msgspec.structs import replace

import faults
from api.managers import IdempotencyKeyManager
from inventory import stock
from inventory.managers import StockItemManager
from orders import batches, dispatcher, journal, steps
from orders.batches import Claimed
from orders.legs import PAYMENT
from orders.managers import JourneyManager
from orders.models import Journey
from orders.payment import captures, handover
from orders.placing import totals
from orders.refunding import amounts
from orders.rules.adjustments import Adjustment, total_of
from orders.waits import shortages
from orders.workflow import JourneyState
from payments import expiry, ledger, returns
from payments.calls import Prepared
from payments.gateways import http
from payments.gateways.protocol import Outcome, Talk
from payments.ledger import Kind
from payments.models import idempotency_key
from providers.conversation import Conversation

Replacement = tuple[Any, str, Any]


def no_fencing() -> list[Replacement]:
    """A worker that comes late, or second, works as if the orders were its own and nothing had been done."""

    def lock_batch(self: JourneyManager, order_ids: Sequence[int], *, batch_id: int) -> list[JourneyState]:
        return self.lock(order_ids)

    def due(batch: batches.BatchLease, is_due: object) -> list[JourneyState]:
        return Journey.objects.lock(batch.order_ids)

    return [(JourneyManager, "lock_batch", lock_batch), (steps, "_due", due)]


def key_per_try() -> list[Replacement]:
    """The idempotency key is made up again for each try."""
    numbers = count(1)

    def key(self: Prepared) -> str:
        return f"{idempotency_key(reference=self.request.reference, kind=self.kind)}:{next(numbers)}"

    return [(Prepared, "key", property(key))]


def outcome_before_call() -> list[Replacement]:
    """Success is written down first, and the provider is asked afterwards."""
    ask, submit = ledger.send, handover.submit

    def hope(prepared: Sequence[Prepared]) -> None:
        for one in prepared:
            hoped = Outcome("succeeded", provider_id=f"hoped:{one.key}")
            at = {one.request.order_id: one.number}
            ledger.record(one.kind, {one.request.order_id: hoped}, number_by_order=at)

    def hopeful(prepared: Sequence[Prepared], **how: Any) -> dict[int, Outcome]:
        hope(prepared)
        return ask(prepared, **how)

    def submit_hopefully(calls: Sequence[Prepared], *, is_bulk: bool = False) -> None:
        hope(calls)
        submit(calls, is_bulk=is_bulk)

    return [(ledger, "send", hopeful), (handover, "submit", submit_hopefully)]


def publish_before_commit() -> list[Replacement]:
    """A batch is sent inside the transaction that claims it."""
    claim, send = batches.claim, batches.send

    def claim_and_send() -> list[Claimed]:
        with vars(batches)["transaction"].atomic():
            claimed = claim()
            for batch in claimed:
                dispatch(batch)
            faults.point("claim.before_commit")
        return claimed

    def dispatch(batch: Claimed) -> None:
        with suppress(BrokerError):
            (sender[0] if sender else send)(batch)

    sender: list[Callable[[Claimed], None]] = []
    dispatch_due = dispatcher.dispatch_due

    def dispatch_all(send: Callable[[Claimed], None] = send) -> int:
        sender[:] = [send]
        return dispatch_due(send=lambda _: None)

    return [(batches, "claim", claim_and_send), (dispatcher, "dispatch_due", dispatch_all)]


def sequence_with_gaps() -> list[Replacement]:
    """An event's sequence comes from one counter for all orders, as from a database sequence."""
    numbers, note = count(1), JourneyState.note

    def numbered(self: JourneyState, event: Any, **data: Any) -> None:
        self.sequence = max(self.sequence, next(numbers))
        note(self, event, **data)

    return [(JourneyState, "note", numbered)]


def stock_without_guard() -> list[Replacement]:
    """Stock is taken without a look at how much there is."""
    return [(stock, "_shortages", lambda products, available: [])]


def shortage_is_final() -> list[Replacement]:
    """An order that comes while others hold the units is refused, although those may never pay."""
    return [(shortages, "passing", lambda short, queued: set())]


def refund_twice() -> list[Replacement]:
    """A refund is sent a second time, under another key."""
    call = ledger._call

    def twice(provider: Talk, prepared: Prepared) -> Conversation[Outcome]:
        outcome = yield from call(provider, prepared)
        if prepared.kind is Kind.REFUND:
            request = prepared.request
            yield from provider.refund(
                key=f"{prepared.key}:again",
                reference=request.reference,
                capture=request.parent,
                amount=request.amount,
                currency=request.currency,
            )
        return outcome

    return [(ledger, "_call", twice)]


def capture_without_join() -> list[Replacement]:
    """Money is taken as soon as it is held, whatever became of the stock."""
    return [
        (
            JourneyState,
            "may_be_captured",
            property(lambda self: self.is_processing and self.payment is PAYMENT.AUTHORIZED),
        )
    ]


def _declined_instead_of(kind: str) -> list[Replacement]:
    asking = ledger.asking

    def rash(prepared: Prepared, provider: Talk | None = None) -> Conversation[Outcome]:
        outcome = yield from asking(prepared, provider)
        return outcome._replace(kind="declined") if outcome.kind == kind else outcome

    return [(ledger, "asking", rash)]


def unknown_is_declined() -> list[Replacement]:
    """A call that was never answered counts as declined."""
    return _declined_instead_of("unknown")


def release_forgotten() -> list[Replacement]:
    """Undoing an order leaves its units reserved."""
    return [(StockItemManager, "release", lambda _, *, order_ids: None)]


def feed_by_last_id() -> list[Replacement]:
    """A reader of the whole journal does not wait for transactions that began earlier."""
    return [(journal, "END", "SELECT coalesce(max(transaction_id) + 1, 0) FROM orders_orderevent")]


def trust_the_message() -> list[Replacement]:
    """A claimed order is never polled: its message will surely arrive."""
    claimed = JourneyState.claimed

    def trusting(self: JourneyState, *, lease: float) -> None:
        claimed(self, lease=lease)
        self.due_in = None

    return [(JourneyState, "claimed", trusting)]


def undo_without_lookup() -> list[Replacement]:
    """What is not known to have been taken is not refunded."""
    standing = returns._standing

    def careless(book: Any) -> Any:
        found = standing(book)
        return returns.Returned.NOTHING if isinstance(found, Outcome) else found

    return [(returns, "_standing", careless)]


def key_without_number() -> list[Replacement]:
    """Every refund of an order has the same idempotency key."""

    def key(self: Prepared) -> str:
        return idempotency_key(reference=self.request.reference, kind=self.kind)

    return [(Prepared, "key", property(key))]


def double_click() -> list[Replacement]:
    """A repeated request is a new one, whatever its Idempotency-Key."""
    return [(IdempotencyKeyManager, "claim", lambda self, **_: True)]


def bankers_rounding() -> list[Replacement]:
    """Each unit's price is rounded by itself, and half a cent to the even one."""

    def amount(item: amounts.Item, first: int, last: int, *, currency: str) -> Decimal:
        return round(item.amount / item.quantity, 2) * (last - first)

    return [(amounts, "amount_of_units", amount)]


def pending_is_declined() -> list[Replacement]:
    """What the provider decides later counts as a failure."""
    return _declined_instead_of("pending")


def two_decimals() -> list[Replacement]:
    """Every amount is sent with two decimals, whatever its currency."""
    return [(http, "amount_text", lambda amount, currency: f"{amount:.2f}")]


def expired_is_held() -> list[Replacement]:
    """What was authorized counts as held for ever."""
    return [(captures, "_release", lambda journey, book: False)]


def expired_is_captured() -> list[Replacement]:
    """A capture that comes after the authorization has expired counts as done: it was authorized, after all."""
    asking = ledger.asking

    def hopeful(prepared: Prepared, provider: Talk | None = None) -> Conversation[Outcome]:
        outcome = yield from asking(prepared, provider)
        has_expired = prepared.kind is Kind.CAPTURE and outcome.code == expiry.CODE
        return outcome._replace(kind="succeeded") if has_expired else outcome

    return [(ledger, "asking", hopeful)]


def late_failure_dropped() -> list[Replacement]:
    """What succeeded once counts as succeeded for ever."""
    return [(ledger, "reverse", lambda entry, outcome: None)]


def adjustment_left_out() -> list[Replacement]:
    """Discounts are shown, and forgotten in the total."""

    def adjusted(adjustments: Sequence[Adjustment]) -> Decimal:
        return total_of([each for each in adjustments if each.kind != "discount"])

    return [(totals, "adjusted", adjusted)]


def included_added_again() -> list[Replacement]:
    """A tax that the prices include is added to the total."""

    def adjusted(adjustments: Sequence[Adjustment]) -> Decimal:
        return total_of([replace(each, included=False) for each in adjustments])

    return [(totals, "adjusted", adjusted)]


DEFECTS: dict[str, Callable[[], list[Replacement]]] = {
    defect.__name__: defect
    for defect in (
        no_fencing,
        key_per_try,
        outcome_before_call,
        publish_before_commit,
        sequence_with_gaps,
        stock_without_guard,
        shortage_is_final,
        refund_twice,
        capture_without_join,
        unknown_is_declined,
        release_forgotten,
        feed_by_last_id,
        trust_the_message,
        undo_without_lookup,
        key_without_number,
        double_click,
        bankers_rounding,
        two_decimals,
        pending_is_declined,
        expired_is_held,
        expired_is_captured,
        late_failure_dropped,
        adjustment_left_out,
        included_added_again,
    )
}
