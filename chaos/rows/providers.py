"""Payment provider faults: slow, down, inconsistent, failing refunds."""

import asyncio
from typing import Any

from chaos.arena import Arena, row
from chaos.receivers import Receiver
from chaos.rig import WEBS

SUBSCRIBE = """
    INSERT INTO notifications_subscription (url, secret, events, active)
    VALUES (%s, 'whsec_of_the_campaign', '{order_placed}', true)
"""
MOST_CALLS = 4 + 1  # WEBHOOK_CALLS_PER_SUBSCRIPTION, and one that is just ending
AFTER_PROVIDERS = 90.0


@row("F28", "provider times out after it has charged", within=AFTER_PROVIDERS)
async def f28(arena: Arena) -> None:
    await arena.providers(timeoutAfterRate=0.3, timeoutSeconds=10, operations=["authorize", "capture"])
    arena.struck()
    await arena.sleep(15)
    await arena.rig.sandbox("DELETE", "/faults")


@row("F29", "provider charges, answers 500, and 500 again for the same key", within=AFTER_PROVIDERS)
async def f29(arena: Arena) -> None:
    await arena.providers(status500AfterRate=0.5, operations=["authorize", "capture", "void", "refund"])
    arena.struck()
    await arena.sleep(15)
    await arena.rig.sandbox("DELETE", "/faults")


@row(
    "F30",
    "webhooks lost, doubled, late and out of order, for calls that get no answer",
    within=AFTER_PROVIDERS,
)
async def f30(arena: Arena) -> None:
    """Webhooks report outcomes that calls did not: before the lookup, after it, or after a cancellation."""
    secret = f"{arena.dice.getrandbits(128):032x}"
    url = f"http://127.0.0.1:{arena.rig.web_ports[0]}/api/payments/webhook"
    await arena.rig.restart(*WEBS, PAYMENT_WEBHOOK_SECRETS=secret)
    await arena.rig.restart("sandbox", SANDBOX_WEBHOOK_URL=url, SANDBOX_WEBHOOK_SECRET=secret)
    await arena.rig.until_ready()
    silence: dict[str, Any] = {"timeoutAfterRate": 0.2, "timeoutSeconds": 10}
    webhooks: dict[str, Any] = {"webhookLossRate": 0.2, "webhookDuplicateRate": 0.5, "webhookDelayMs": 6000}
    await arena.providers(**silence, **webhooks)
    arena.struck()
    await arena.sleep(20)
    await arena.rig.sandbox("DELETE", "/faults")
    await arena.sleep(6)
    events = (await asyncio.to_thread(arena.rig.rows, "SELECT count(*) FROM payments_webhookevent"))[0][0]
    arena.notes.append(f"{events} events came in")
    arena.expect(events, "no webhook was received")


@row("F31", "provider down, failing, slow, sending invalid answers, declining", within=AFTER_PROVIDERS)
async def f31(arena: Arena) -> None:
    scripts: list[dict[str, Any]] = [
        {"down": True},
        {"errorRate": 0.3},
        {"latencyMs": 1500, "latencyJitterMs": 1500},
        {"garbageRate": 0.4},
        {"declineTokens": ["tok_demo"]},
    ]
    for script in scripts:
        await arena.providers(**script)
        arena.struck()
        await arena.sleep(6)
    await arena.rig.sandbox("DELETE", "/faults")


@row("F32", "refunds fail again and again, and the process dies between them", within=AFTER_PROVIDERS)
async def f32(arena: Arena) -> None:
    await arena.providers(errorRate=0.7, operations=["void", "refund"])
    script = "return_money.before_record:kill@3,refund.after_call:kill@2,void.before_call:kill@4"
    await arena.rig.restart("worker-payments", **arena.faults_at(script))
    for _ in range(max(1, int(15 * arena.scale))):
        key = arena.new_key("refund")
        body = {"customerName": key, "items": [{"sku": "ACC-101", "quantity": 1}]}
        order_id = await arena.load.place(key, body)
        if order_id is not None:
            await asyncio.sleep(arena.dice.uniform(0.3, 1.2))
            arena.struck()
            await arena.load.ask(order_id, "cancel")
    await arena.rig.sandbox("DELETE", "/faults")


@row(
    "F50", "a receiver of webhooks drips its answers, then the payment provider, too", within=AFTER_PROVIDERS
)
async def f50(arena: Arena) -> None:
    """A slow drip of bytes never hits a socket timeout: only the call's total deadline ends it."""
    rig, well, drip = arena.rig, Receiver(drips=False), Receiver(drips=True)
    variables = {"WEBHOOK_ALLOW_PRIVATE": "1", "WEBHOOK_TIMEOUT_SECONDS": "1"}
    await rig.restart("worker-notifications", **variables)
    await rig.restart("worker-payments", **rig.through_proxies("sandbox"))
    await rig.until_ready()
    for receiver in (well, drip):
        await receiver.start()
        await asyncio.to_thread(rig.do, SUBSCRIBE, receiver.url)
    arena.struck()
    await arena.sleep(12)
    taken = well.calls
    arena.expect(
        taken > 12 * arena.scale, f"the healthy receiver got {taken} webhooks while the other dripped"
    )
    rig.proxies["sandbox"].drip = 0.2
    arena.struck()
    await arena.sleep(12)
    rig.proxies["sandbox"].heal()
    arena.expect(well.calls > taken, "the healthy receiver got nothing while the provider dripped")
    arena.expect(drip.most_open <= MOST_CALLS, f"{drip.most_open} calls at once hung at one receiver")
    arena.notes.append(f"{well.calls} webhooks taken, {drip.calls} dripped, {drip.most_open} at once")
    await asyncio.to_thread(rig.do, "UPDATE notifications_subscription SET active = false")
    for receiver in (well, drip):
        await receiver.stop()


THOUSANDS = 2000
UNKNOWN = "SELECT count(*) FROM payments_transaction WHERE state = 'unknown'"


async def _calls_under_way(arena: Arena) -> int:
    return int((await asyncio.to_thread(arena.rig.rows, UNKNOWN))[0][0])


@row("F60", "provider accepts thousands of calls and never answers them", within=AFTER_PROVIDERS)
async def f60(arena: Arena) -> None:
    silence: dict[str, Any] = {"timeoutBeforeRate": 0.5, "timeoutAfterRate": 1.0, "timeoutSeconds": 60}
    await arena.providers(**silence, operations=["authorize", "capture"])
    arena.struck()
    await arena.load.pour(int(THOUSANDS * arena.scale), lasting=3)
    await arena.sleep(15)
    arena.notes.append(f"{await _calls_under_way(arena)} calls without an answer")
    await arena.rig.sandbox("DELETE", "/faults")


@row("F61", "provider resets half of its connections, before and after charging", within=AFTER_PROVIDERS)
async def f61(arena: Arena) -> None:
    await arena.providers(timeoutBeforeRate=0.25, timeoutAfterRate=0.33, timeoutSeconds=0)
    arena.struck()
    await arena.load.pour(int(THOUSANDS * arena.scale), lasting=5)
    await arena.sleep(10)
    await arena.rig.sandbox("DELETE", "/faults")


@row("F62", "worker killed with a thousand calls in flight", within=60, resumed_bar=(10.0, 15.0))
async def f62(arena: Arena) -> None:
    wanted = int(1000 * arena.scale)
    # Fast answers or failures before would make the window small: calls of four seconds count as slow.
    await arena.rig.restart("worker-payments")
    await arena.rig.until_ready()
    # Slow from the start: the window grows with each wave of answers.
    await arena.providers(latencyMs=4000, operations=["authorize"])
    await arena.load.pour(3 * wanted, lasting=2)

    def is_reached() -> bool:
        return bool(arena.rig.rows(UNKNOWN)[0][0] >= wanted)

    arena.expect(await arena.rig.until(is_reached, seconds=60), f"never {wanted} calls in flight")
    arena.notes.append(f"{await _calls_under_way(arena)} calls under way")
    arena.struck()
    arena.rig.kill("worker-payments")
    await arena.rig.sandbox("DELETE", "/faults")
