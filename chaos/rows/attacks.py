"""Attackers who order and do not mean to pay."""

import asyncio
from typing import Any

from chaos.arena import Arena, row
from chaos.load import Wish

UNITS, BUYERS, BUYER_EVERY = 800, 60, 0.4
ATTACK = Wish("declined", 1.0, {"payment": {"token": "tok_declined"}})
NEW_PRODUCT = """
    WITH p AS (
        INSERT INTO inventory_product
            (sku, name, category, description, price, currency, weight_grams, active, updated_at)
        VALUES (%s, %s, '', '', 10, 'USD', 1, true, now()) RETURNING id
    )
    INSERT INTO inventory_stockitem (product_id, on_hand, reserved, sold, reorder_level) SELECT id, %s, 0, 0, 0 FROM p
"""


@row(
    "F49",
    "declined cards want all units of a product, beside honest buyers; provider 500 ms",
    rate=0,
    within=90,
)
async def f49(arena: Arena) -> None:
    """Without account limits and with one customer, only the queue for units helps."""
    sku = f"BLOCKED-{arena.dice.randrange(10**9)}"
    await asyncio.to_thread(arena.rig.do, NEW_PRODUCT, sku, sku, UNITS)
    await arena.providers(latencyMs=500)
    arena.struck()
    attack = asyncio.create_task(_attack(arena, sku))
    honest = []
    for number in range(BUYERS):
        key = arena.new_key(f"buyer-{number}")
        body = {"customerName": key, "items": [{"sku": sku, "quantity": 1}]}
        honest.append(asyncio.create_task(arena.load.place(key, body)))
        await asyncio.sleep(BUYER_EVERY * arena.dice.uniform(0.4, 1.6))
    bought = [order_id for order_id in await asyncio.gather(*honest) if order_id is not None]
    await arena.rig.until(lambda: _all_ended(_statuses(arena, bought)), seconds=60)
    found = await asyncio.to_thread(_statuses, arena, bought)
    attack.cancel()
    await asyncio.gather(attack, return_exceptions=True)
    await arena.rig.sandbox("DELETE", "/faults")
    attacks = arena.load.wishes["declined"]
    arena.notes.append(f"{found.get('confirmed', 0)} of {len(bought)} bought beside {attacks} attacks")
    arena.expect(found == {"confirmed": len(bought)}, f"honest buyers were refused, or still wait: {found}")


async def _attack(arena: Arena, sku: str) -> None:
    while True:
        free = (await asyncio.to_thread(arena.rig.rows, AVAILABLE, sku))[0][0]
        items: list[dict[str, Any]] = [{"sku": sku, "quantity": free or UNITS // 2}]
        await arena.load.order(ATTACK, items=items)
        await asyncio.sleep(0.2)


AVAILABLE = """
    SELECT on_hand - reserved FROM inventory_stockitem s JOIN inventory_product p ON p.id = s.product_id WHERE sku = %s
"""


def _statuses(arena: Arena, order_ids: list[int]) -> dict[str, int]:
    statement = "SELECT status, count(*) FROM orders_journey WHERE order_id = ANY(%s) GROUP BY 1"
    return dict(arena.rig.rows(statement, order_ids))


def _all_ended(found: dict[str, int]) -> bool:
    return set(found) <= {"confirmed", "rejected"}
