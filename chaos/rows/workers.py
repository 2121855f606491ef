"""Workers and dispatchers: killed, frozen, doubled, stuck."""

import asyncio
import os
from pathlib import Path

from chaos.arena import Arena, row
from chaos.clock import Clock
from chaos.rig import BASE, STEP_WORKERS, WEBS, WORKERS
from chaos.rows.web import GOOD

PAST_THE_LEASE = 11.0
WORKER_OF = {
    "reserve_stock": "worker-inventory",
    "release_stock": "worker-inventory",
    "quote_shipping": "worker-shipping",
    "authorize_payment": "worker-payments",
    "capture_payment": "worker-payments",
    "return_money": "worker-payments",
    "settle": "worker-orders",
    "complete": "worker-orders",
    "authorize": "worker-payments",
    "capture": "worker-payments",
    "void": "worker-payments",
    "refund": "worker-payments",
}
STEP_PLACES = ("begin", "before_commit", "end")
PLACES = (
    *(f"{step}.{place}" for step in list(WORKER_OF)[:8] for place in STEP_PLACES),
    "authorize_payment.before_intent_commit",
    "capture_payment.before_intent_commit",
    "return_money.before_intent_commit",
    "return_money.before_record",
    *(f"{name}.{place}" for name in list(WORKER_OF)[8:] for place in ("before_call", "after_call")),
)


# More passages than a run has. The count is a file's length: one byte short arms the place for exactly one strike.
ARMED = 1_000_000


@row("F6", "pool child killed at each of 36 places, one after the other", resumed_bar=(3.0, 15.0), rate=6)
async def f6(arena: Arena) -> None:
    script = ",".join(f"{place}:kill@{ARMED}" for place in PLACES)
    variables = arena.faults_at(script)
    await arena.rig.restart(*STEP_WORKERS, **variables)
    await arena.rig.until_ready()
    places = list(PLACES)
    arena.dice.shuffle(places)
    for place in places[: max(1, int(len(places) * arena.scale))]:
        if not await _strike(arena, Path(variables["FAULTS_DIR"]) / place):
            arena.notes.append(f"{place} was not passed")
        await asyncio.sleep(2.0)
    arena.rig.kills += len(arena.faults)
    arena.notes.append(f"{len(arena.faults)} places struck")
    arena.expect(
        len(arena.faults) >= len(places) * arena.scale * 0.8, f"only {len(arena.faults)} places were passed"
    )


async def _strike(arena: Arena, file: Path) -> bool:
    _arm(file)
    for number in range(200):
        if number % 50 == 0:
            for after in (0.0, 0.01, 0.03, 1.5):
                asyncio.ensure_future(_order_and_cancel(arena, after=after))  # noqa: RUF006
        if _passages(file) >= ARMED:
            arena.struck()
            return True
        await asyncio.sleep(0.02)
    return False


def _arm(file: Path) -> None:
    file.touch()
    os.truncate(file, ARMED - 1)


def _passages(file: Path) -> int:
    return file.stat().st_size


async def _order_and_cancel(arena: Arena, *, after: float) -> None:
    key = arena.new_key("undo")
    body = {"customerName": key, "items": [{"sku": "ACC-101", "quantity": 1}]}
    order_id = await arena.load.place(key, body)
    if order_id is not None:
        await asyncio.sleep(after)
        await arena.load.ask(order_id, arena.dice.choice(["cancel", "cancel", "complete"]))


@row("F7", "whole worker groups killed at random", resumed_bar=(10.0, 15.0))
async def f7(arena: Arena) -> None:
    async for _ in arena.every(3, lasting=24):
        arena.struck()
        arena.rig.kill(arena.dice.choice(STEP_WORKERS))


@row("F8", "workers frozen beyond the lease, then thawed: zombie owners")
async def f8(arena: Arena) -> None:
    for name in ("worker-payments", "worker-inventory"):
        arena.struck()
        arena.rig.add(f"{name}-2", like=name)
        await arena.sleep(2)
        arena.rig.freeze(name)
        await asyncio.sleep(PAST_THE_LEASE)
        arena.rig.thaw(name)
        await arena.sleep(2)


@row("F9", "worker frozen, given messages, then killed: they are lost", resumed_bar=(10.0, 15.0))
async def f9(arena: Arena) -> None:
    for name in (*STEP_WORKERS, "worker-payments"):
        arena.rig.freeze(name)
        await arena.sleep(1.0)
        arena.struck()
        arena.rig.kill(name)
        await arena.sleep(3.0)


@row("F10", "all workers away for 20 s, then back")
async def f10(arena: Arena) -> None:
    await arena.rig.take_down(*WORKERS)
    arena.struck()
    await arena.sleep(20)
    arena.rig.bring_up(*WORKERS)


@row("F11", "rolling restart of every process under load", post_longest=1.0)
async def f11(arena: Arena) -> None:
    """Traffic moves elsewhere before a web process stops, as with a load balancer."""
    for name in (*WEBS, "dispatcher", *WORKERS, "beat", "live"):
        arena.struck()
        if name in WEBS:
            arena.load.avoid(WEBS.index(name))
            await asyncio.sleep(0.5)
        await arena.rig.restart(name)
        await arena.rig.until_ready()
        arena.load.avoid(None)


@row("F12", "a step hangs in its transaction until its time limit; a child runs out of memory", within=90)
async def f12(arena: Arena) -> None:
    script = "reserve_stock.before_commit:sleep=30@3,quote_shipping.begin:sleep=12@3"
    variables = arena.faults_at(script)
    await arena.rig.restart("worker-inventory", "worker-shipping", **variables)
    await arena.sleep(6)
    arena.struck()
    for name in STEP_WORKERS:
        arena.rig.kill_child(name)
    await arena.sleep(15)


@row("F4", "dispatcher killed after sending, and around its claim")
async def f4(arena: Arena) -> None:
    script = "send.after:kill@%7,claim.before_commit:kill@%23,claim.after_commit:kill@%31"
    dispatcher = arena.rig.processes["dispatcher"]
    variables = arena.faults_at(script)
    await arena.rig.restart("dispatcher", **variables)
    before, folder = dispatcher.starts, Path(variables["FAULTS_DIR"])
    await arena.rig.until(lambda: any(folder.iterdir()), seconds=30)
    await arena.sleep(25)
    arena.rig.kills += dispatcher.starts - before
    arena.notes.append(f"{dispatcher.starts - before} dispatchers died")
    arena.expect(dispatcher.starts > before, "no dispatcher died")


@row("F5", "three dispatchers at once, some of them killed")
async def f5(arena: Arena) -> None:
    for name in ("dispatcher-2", "dispatcher-3"):
        arena.rig.add(name, like="dispatcher")
    async for number in arena.every(2, lasting=15):
        if number:
            arena.struck()
            arena.rig.kill(arena.dice.choice(["dispatcher", "dispatcher-2", "dispatcher-3"]))


@row("F26", "starved of CPU: everything runs a tenth of the time", within=60, may_be_late=True)
async def f26(arena: Arena) -> None:
    victims = ("dispatcher", *STEP_WORKERS)
    async for _ in arena.every(0.4, lasting=15):
        arena.rig.freeze(*victims)
        arena.struck()
        await asyncio.sleep(0.36)
        arena.rig.thaw(*victims)
        await asyncio.sleep(0.04)


@row("F27", "clocks jump: two hours ahead, four back, and home, in web, dispatcher, workers and beat")
async def f27(arena: Arena) -> None:
    clock = await asyncio.to_thread(Clock, arena.folder)
    await arena.rig.restart(
        "web-1", "dispatcher", "worker-orders", "worker-payments", "beat", **clock.variables
    )
    await arena.rig.until_ready()
    for hours in (2, -2, 0):
        arena.struck()
        clock.shift(hours * 3600)
        await arena.sleep(8)
    await _expect_ticks(arena)


@row("F38", "two beats at once, killed, and none for 25 s")
async def f38(arena: Arena) -> None:
    arena.rig.add("beat-2", like="beat")
    async for number in arena.every(3, lasting=12):
        if number:
            arena.struck()
            arena.rig.kill("beat", "beat-2")
    await arena.rig.take_down("beat", "beat-2", patience=2)
    await arena.sleep(15)
    arena.rig.bring_up("beat")
    await _expect_ticks(arena)
    twice = await asyncio.to_thread(
        arena.rig.rows,
        "SELECT name, slot, count(*) FROM scheduling_scheduledrun GROUP BY 1, 2 HAVING count(*) > 1",
    )
    arena.expect(not twice, f"slots worked twice: {twice}")


async def _expect_ticks(arena: Arena) -> None:
    last = await asyncio.to_thread(arena.rig.rows, TICKS)

    def ticks_again() -> bool:
        return arena.rig.rows(TICKS) > last

    arena.expect(await arena.rig.until(ticks_again, seconds=30), "I8: beat runs and its slots are not worked")


TICKS = "SELECT coalesce(max(slot), 0) FROM scheduling_scheduledrun WHERE name = 'beat' AND finished_at IS NOT NULL"


@row("F47", "a short soak: memory and open files must not grow", rate=25)
async def f47(arena: Arena) -> None:
    await arena.load.order(GOOD)
    watched = [name for name in BASE if name not in ("sandbox", "beat")]
    await arena.sleep(10)
    before = {name: arena.rig.usage(name) for name in watched}
    await arena.sleep(45)
    for name in watched:
        (memory, files), (memory_then, files_then) = arena.rig.usage(name), before[name]
        arena.expect(
            memory < memory_then * 1.25 + 20, f"{name} grew from {memory_then:.0f} to {memory:.0f} MB"
        )
        arena.expect(files < files_then + 30, f"{name} went from {files_then} to {files} open files")
