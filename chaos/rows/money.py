"""Payments that customers and banks decide later, and many refunds of one order."""

import asyncio
from collections import Counter
from functools import partial

from chaos.arena import Arena, row
from chaos.client import NoAnswer, call
from chaos.rig import WEBS

NEEDS_CUSTOMER, SLOW_REFUND = "pm_card_authenticationRequired", "pm_card_pendingRefund"
# Orders wait up to a minute for the next poll of their payment or refund.
WITHIN = 90.0

STANDS = """
    SELECT t.provider_id FROM payments_transaction t JOIN orders_journey j ON j.order_id = t.order_id
    WHERE t.order_id = %s AND t.kind = %s AND t.provider_id <> '' AND j.batch_id IS NULL
"""
# The minute, or the hours, until the next poll are over.
TIME_PASSES = """
    UPDATE orders_journey SET due_at = now() WHERE order_id = ANY(%s) AND due_at > now() AND batch_id IS NULL
"""
VOIDED = "SELECT count(*) FROM payments_transaction WHERE kind = 'void' AND state = 'succeeded' AND order_id = ANY(%s)"
ENDS = "SELECT status, count(*) FROM orders_journey WHERE order_id = ANY(%s) GROUP BY 1"


async def _ordered(arena: Arena, count: int, token: str = NEEDS_CUSTOMER) -> list[int]:
    """Place orders with a gateway of the customer's and wait until the provider has them."""
    found = []
    for _ in range(count):
        key = arena.new_key("stripe")
        payment = {"gateway": "stripe", "token": token}
        items = [{"sku": "ACC-101", "quantity": 1}]
        order_id = await arena.load.place(key, {"customerName": key, "items": items, "payment": payment})
        if order_id is not None:
            found.append(order_id)
    for order_id in found:
        await arena.rig.until(partial(arena.rig.rows, STANDS, order_id, "authorize"), seconds=20)
    return found


async def _decide(arena: Arena, order_id: int, to: str, *, kind: str = "authorize") -> None:
    """Have the customer, the bank or time decide at the provider."""
    rows = await asyncio.to_thread(arena.rig.rows, STANDS, order_id, kind)
    arena.expect(rows, f"order {order_id}: the provider has no {kind}")
    if rows:
        await arena.rig.sandbox("POST", f"/stripe/control/{rows[0][0]}", {"to": to})


async def _pays_again(arena: Arena, order_id: int) -> bool:
    """Whether the provider lets the customer pay after a failure: not once a poll has closed the payment."""
    try:
        await _decide(arena, order_id, "succeeded")
    except RuntimeError as refused:
        if "payment_intent_unexpected_state" not in str(refused):
            raise
        return False
    return True


async def _time_passes(arena: Arena, order_ids: list[int]) -> None:
    await asyncio.to_thread(arena.rig.do, TIME_PASSES, order_ids)


async def _expect_ends(arena: Arena, order_ids: list[int], **wanted: int) -> None:
    def ends() -> dict[str, int]:
        return dict(arena.rig.rows(ENDS, order_ids))

    await arena.rig.until(lambda: ends() == wanted, seconds=20)
    found = await asyncio.to_thread(ends)
    arena.expect(found == wanted, f"{wanted} were to come of {len(order_ids)} orders, found {found}")


async def _with_webhooks(arena: Arena, **faults: str) -> None:
    secret = f"whsec_{arena.dice.getrandbits(128):032x}"
    url = f"http://127.0.0.1:{arena.rig.web_ports[0]}/api/payments/webhook/stripe"
    await arena.rig.restart(*WEBS, STRIPE_WEBHOOK_SECRETS=secret, **faults)
    await arena.rig.restart("sandbox", SANDBOX_STRIPE_WEBHOOK_URL=url, SANDBOX_STRIPE_WEBHOOK_SECRET=secret)
    await arena.rig.until_ready()


@row("F63", "web dies between the customer's confirmation and the return", within=WITHIN, may_be_late=True)
async def f63(arena: Arena) -> None:
    """The webhook that reports it meets a dying process; the next copy, or the look-up, completes it."""
    await _with_webhooks(
        arena, **arena.faults_at("webhook.before_commit:kill@%3,webhook.after_commit:kill@%4")
    )
    orders = await _ordered(arena, max(4, int(16 * arena.scale)))
    for place, order_id in enumerate(orders):
        await _decide(arena, order_id, "succeeded")
        arena.struck()
        if place % 4 == 0:
            arena.rig.kill(*WEBS)
        await asyncio.sleep(arena.dice.uniform(0, 0.3))
    await arena.rig.until_ready()
    await _time_passes(arena, orders)
    await _expect_ends(arena, orders, confirmed=len(orders))
    arena.notes.append(f"{len(orders)} confirmations")


@row("F64", "webhooks come an hour late, after the time to pay", within=WITHIN)
async def f64(arena: Arena) -> None:
    """Some customers paid in time, some failed and paid when the order was rejected, some never did."""
    await _with_webhooks(arena)
    await arena.providers("stripe", webhookDelayMs=12_000, webhookDuplicateRate=0.5)
    each = max(2, int(5 * arena.scale))
    orders = await _ordered(arena, 3 * each)
    paid, late, never = orders[:each], orders[each : 2 * each], orders[2 * each :]
    for order_id in paid:
        await _decide(arena, order_id, "succeeded")
    for order_id in late:
        await _decide(arena, order_id, "failed")
    for order_id in orders:
        await _decide(arena, order_id, "an_hour_older")
    arena.struck()
    await _time_passes(arena, orders)
    await _expect_ends(arena, orders, confirmed=each, rejected=each, cancelled=each)
    again = [order_id for order_id in late if await _pays_again(arena, order_id)]
    await asyncio.sleep(14)  # the longest delay of a webhook
    await _expect_ends(arena, orders, confirmed=each, rejected=each, cancelled=each)
    count = (await asyncio.to_thread(arena.rig.rows, VOIDED, again + never))[0][0]
    wanted = len(again) + each
    arena.expect(count == wanted, f"{count} of {wanted} payments that came late or never were voided")
    arena.notes.append(
        f"{each} paid in time, {len(again)} of {each} after the rejection, the rest found it closed, {each} never"
    )


@row("F65", "no webhook at all: the look-ups have to do", within=WITHIN)
async def f65(arena: Arena) -> None:
    each = max(2, int(8 * arena.scale))
    confirmed, refunded = await _ordered(arena, each), await _ordered(arena, each, SLOW_REFUND)
    for order_id in confirmed:
        await _decide(arena, order_id, "succeeded")
    for order_id in refunded:
        await arena.load.ask(order_id, "cancel")
        await arena.rig.until(partial(arena.rig.rows, STANDS, order_id, "refund"), seconds=20)
        await _decide(arena, order_id, "succeeded", kind="refund")
    arena.struck()
    await _time_passes(arena, confirmed + refunded)
    await _expect_ends(arena, confirmed + refunded, confirmed=each, cancelled=each)
    arena.notes.append(f"{each} confirmations and {each} refunds looked up")


CLICKS = 500


@row("F66", "500 partial refunds by two operators at once", rate=4, within=WITHIN)
async def f66(arena: Arena) -> None:
    """Together they want more than was captured, and some answers of the provider are lost."""
    clicks, orders = max(40, int(CLICKS * arena.scale)), []
    for _ in range(10):
        key = arena.new_key("refunds")
        order_id = await arena.load.place(
            key, {"customerName": key, "items": [{"sku": "ACC-101", "quantity": 2}]}
        )
        if order_id is not None:
            orders.append(order_id)
    await _expect_ends(arena, orders, confirmed=len(orders))
    await arena.providers(timeoutAfterRate=0.05, timeoutSeconds=0, operations=["refund"])
    arena.struck()
    answers: Counter[int] = Counter()

    async def operate(name: str) -> None:
        headers = {"Authorization": f"Token {arena.rig.token_of(name)}"}
        for number in range(clicks // 2):
            order_id = orders[number % len(orders)]
            key = {"Idempotency-Key": f"{arena.load.tag}-{name}-{number}"}
            body = {"amount": arena.dice.randint(20, 400) / 100, "reason": "Scratched"}
            answers[await _refund(arena, order_id, body, headers | key)] += 1

    await asyncio.gather(*(operate(name) for name in ("admin", "operator")))
    await arena.rig.sandbox("DELETE", "/faults")
    arena.expect(set(answers) <= {202, 409}, f"refunds were answered {answers}")
    arena.notes.append(f"{answers[202]} refunds accepted, {answers[409]} of more than is left")


async def _refund(arena: Arena, order_id: int, body: object, headers: dict[str, str]) -> int:
    """Send until there is an answer; a repeat with its key is the same refund."""
    while True:
        port = arena.dice.choice(arena.rig.web_ports)
        try:
            path = f"/api/orders/{order_id}/refunds"
            answer = await call(port, "POST", path, body=body, headers=headers)
        except (NoAnswer, TimeoutError):
            continue
        if answer.status < 500:
            return answer.status
        await asyncio.sleep(0.1)
