"""E-mails to an address whose owner has ordered nothing."""

import asyncio
import contextlib
import json
import secrets

from attacks.scene import Scene, attack
from chaos.client import NoAnswer, call

ORDERS = 300
MOST_MAILS = 30  # to one address in an hour, by default
BAIT = "You won! Claim at https://evil.example/claim"
SETTLE_SECONDS = 30.0
WAITING = "SELECT count(*) FROM notifications_notification WHERE state = 'waiting'"


@attack(
    "mails", f"{ORDERS} declined and {ORDERS} paid orders in bulk, all to one address, with a link for a name"
)
async def mails(scene: Scene) -> None:
    target, victim = scene.target, f"victim-{secrets.token_hex(4)}@example.org"
    sku = await target.product(units=ORDERS * 2)
    async with scene.honest():
        await scene.together(_bomb(scene, victim, sku, payment) for payment in ("tok_declined", "tok_demo"))
        await asyncio.sleep(scene.seconds / 2)
    await target.until(lambda: not target.rows(WAITING)[0][0], seconds=SETTLE_SECONDS)
    answer = await call(target.sandbox_port, "GET", f"/email/messages?to={victim}&limit=1000")
    found = answer.json()["items"]
    scene.notes.append(f"{len(found)} mails")
    scene.expect(len(found) <= MOST_MAILS, f"the victim got {len(found)} mails")
    scene.expect("evil.example" not in json.dumps(found), "the victim got the attacker's link")


async def _bomb(scene: Scene, victim: str, sku: str, payment: str) -> None:
    token = await scene.target.account("bomber")
    order = {
        "customerName": BAIT,
        "email": victim,
        "payment": {"token": payment},
        "items": [{"sku": sku, "quantity": 1}],
    }
    with contextlib.suppress(NoAnswer, TimeoutError):
        answers = await scene.target.bulk([order] * ORDERS, token=token)
        scene.answers["taken"] += sum("orderId" in answer for answer in answers)
        scene.answers["refused"] += sum("orderId" not in answer for answer in answers)
