"""Intake: killed in mid-request, repeated, stormed."""

import asyncio

from chaos.arena import Arena, row
from chaos.client import Answer, NoAnswer, call
from chaos.load import Wish
from chaos.rig import WEBS

GOOD = Wish("good", 1.0)


@row("F1", "web killed before the statement that stores the order and commits", may_be_late=True)
async def f1(arena: Arena) -> None:
    await _kill_webs_at(arena, "post.before_insert")


@row("F2", "web killed after COMMIT, before the order is announced", may_be_late=True)
async def f2(arena: Arena) -> None:
    await _kill_webs_at(arena, "post.after_commit")


@row("F3", "web killed before the answer is out; the client repeats with its key")
async def f3(arena: Arena) -> None:
    """The network loses the answer: the request arrives."""
    async for _ in arena.every(0.3, lasting=8):
        key = f"{arena.load.tag}-cut-{len(arena.faults)}"
        body = {"customerName": key, "items": [{"sku": "ACC-101", "quantity": 1}]}
        asking = asyncio.create_task(arena.load.attempt(arena.rig.web_ports[0], "/api/orders", body, key))
        await asyncio.sleep(arena.dice.uniform(0, 0.03))
        asking.cancel()
        arena.struck()
        await arena.load.place(key, body)


async def _kill_webs_at(arena: Arena, place: str) -> None:
    """Every 15th passage, counted over both processes, kills the web process."""
    await arena.rig.restart(*WEBS, **arena.faults_at(f"{place}:kill@%15"))
    await arena.rig.until_ready()
    before = sum(arena.rig.processes[name].starts for name in WEBS)
    await arena.sleep(10)
    died = sum(arena.rig.processes[name].starts for name in WEBS) - before
    arena.rig.kills += died
    arena.notes.append(f"{died} web processes died at {place}")
    arena.expect(died, f"no web process died at {place}")


@row("F39", "hot SKU: 500 buyers, 10 units", rate=0, may_be_late=True)
async def f39(arena: Arena) -> None:
    sku = f"HOT-{arena.dice.randrange(10**9)}"
    await asyncio.to_thread(
        arena.rig.do,
        "WITH p AS (INSERT INTO inventory_product (sku, name, category, description, price, currency, weight_grams,"
        " active, updated_at) VALUES (%s, %s, '', '', 10, 'USD', 100, true, now()) RETURNING id)"
        " INSERT INTO inventory_stockitem (product_id, on_hand, reserved, sold, reorder_level)"
        " SELECT id, 10, 0, 0, 0 FROM p",
        sku,
        sku,
    )
    item = [{"sku": sku, "quantity": 1}]
    await asyncio.gather(*(arena.load.order(GOOD, items=item) for _ in range(500)))
    ids = list(arena.load.accepted.values())

    def counts() -> dict[str, int]:
        return dict(
            arena.rig.rows(
                "SELECT status, count(*) FROM orders_journey WHERE order_id = ANY(%s) GROUP BY 1", ids
            )
        )

    await arena.rig.until(lambda: set(counts()) <= {"confirmed", "rejected"}, seconds=30)
    found = await asyncio.to_thread(counts)
    arena.notes.append(f"{found.get('confirmed', 0)} sold, {found.get('rejected', 0)} told so")
    arena.expect(found == {"confirmed": 10, "rejected": 490}, f"I2: 500 buyers of 10 units: {found}")


@row("F40", "the same key 50 times at once, through two web processes", rate=4)
async def f40(arena: Arena) -> None:
    for number in range(4):
        key = f"{arena.load.tag}-same-{number}"
        body = {"customerName": key, "items": [{"sku": "ACC-101", "quantity": 1}]}
        answers = await asyncio.gather(*(_insist(arena, key, body, port) for port in range(50)))
        bodies = {answer.body for answer in answers}
        arena.expect(len(bodies) == 1, f"I7: 50 requests with one key got {len(bodies)} different answers")
        arena.load.bodies[key], arena.load.first_answers[key] = body, answers[0].body
        arena.load.accepted[key] = answers[0].json()["orderId"]
    arena.notes.append("4 keys, 50 equal answers each")


async def _insist(arena: Arena, key: str, body: object, number: int) -> Answer:
    """Send until the answer is final (409: still in progress)."""
    while True:
        try:
            answer = await call(
                arena.rig.web_ports[number % 2],
                "POST",
                "/api/orders",
                body=body,
                headers={"Idempotency-Key": key},
            )
        except NoAnswer:
            continue
        if answer.status not in (409, 503):
            return answer
        await asyncio.sleep(0.1)


@row("F41", "cancel races with charge and confirm")
async def f41(arena: Arena) -> None:
    async def race() -> None:
        key = arena.new_key("race")
        body = {"customerName": key, "items": [{"sku": "ACC-101", "quantity": 1}]}
        order_id = await arena.load.place(key, body)
        if order_id is not None:
            await asyncio.sleep(arena.dice.uniform(0, 0.4))
            arena.struck()
            await arena.load.ask(order_id, "cancel")

    for _ in range(max(1, int(20 * arena.scale))):
        await asyncio.gather(*(race() for _ in range(10)))
    arena.notes.append(f"{len(arena.faults)} cancellations")
