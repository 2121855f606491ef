"""Goods that are blocked by those who do not mean to pay."""

import asyncio

from attacks.scene import Scene, attack
from chaos.client import NoAnswer

UNITS = 800
LATENCY_MS = 500  # of a card provider, so that units stay reserved for a while
BUYERS = 4
PAUSE_SECONDS = 0.1
AVAILABLE = """
    SELECT on_hand - reserved FROM inventory_stockitem s JOIN inventory_product p ON p.id = s.product_id WHERE sku = %s
"""


@attack("goods", "declined cards want all units of the product that the honest user orders")
async def goods(scene: Scene) -> None:
    sku = await scene.target.product(units=UNITS)
    tokens = [await scene.target.account("blocker") for _ in range(BUYERS)]
    await scene.target.sandbox(
        "PUT", "/faults/payments", {"seed": scene.dice.randrange(1_000_000), "latencyMs": LATENCY_MS}
    )
    try:
        async with scene.honest(sku=sku):
            await scene.together(_block(scene, sku, token) for token in tokens)
    finally:
        await scene.target.sandbox("DELETE", "/faults")


async def _block(scene: Scene, sku: str, token: str) -> None:
    """Order, one after the other, whatever is available."""
    while True:
        free = int((await asyncio.to_thread(scene.target.rows, AVAILABLE, sku))[0][0])
        body = {
            "customerName": "Blocker",
            "items": [{"sku": sku, "quantity": max(1, free)}],
            "payment": {"token": "tok_declined"},
        }
        try:
            answer = await scene.target.call("POST", "/api/orders", token=token, body=body)
            scene.answers[str(answer.status)] += 1
        except (NoAnswer, TimeoutError):
            scene.answers["none"] += 1
        await asyncio.sleep(PAUSE_SECONDS)
