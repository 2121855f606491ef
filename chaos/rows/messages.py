"""Messages: doubled, late, reordered, lost, malformed, from another release."""

import ast
import asyncio
import base64
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress

import redis

from chaos.arena import Arena, row
from chaos.rig import STEP_WORKERS

QUEUES = ("orders", "inventory", "shipping", "payments")
PUSHED = re.compile(r'"LPUSH" "(orders|inventory|shipping|payments)" (".*")$')
MARK = "chaos-copy"


@row("F33", "every message three times")
async def f33(arena: Arena) -> None:
    await _copy_messages(arena, seconds=12, copies=2, late=(0.0, 0.3))


@row("F34", "messages come again up to 10 s late, in any order, for orders long finished")
async def f34(arena: Arena) -> None:
    await _copy_messages(arena, seconds=12, copies=1, late=(0.5, 10.0))
    await arena.sleep(10)


async def _copy_messages(arena: Arena, *, seconds: float, copies: int, late: tuple[float, float]) -> None:
    waiting: list[tuple[float, str, str]] = []
    done = 0
    watching = asyncio.create_task(
        asyncio.to_thread(_watch, arena, seconds * arena.scale, copies, late, waiting)
    )
    while not watching.done() or waiting:
        now = time.monotonic()
        for entry in [entry for entry in waiting if entry[0] <= now]:
            with suppress(redis.ConnectionError, redis.TimeoutError):
                await asyncio.to_thread(_push, arena, entry[1], entry[2])
                waiting.remove(entry)
                arena.struck()
                done += 1
        await asyncio.sleep(0.02)
    await watching
    arena.notes.append(f"{done} copies")
    arena.expect(done, "no message was copied")


def _watch(
    arena: Arena,
    seconds: float,
    copies: int,
    late: tuple[float, float],
    waiting: list[tuple[float, str, str]],
) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(redis.ConnectionError, redis.TimeoutError):
            for line in _what_valkey_does(arena, deadline):
                found = PUSHED.search(line)
                if found and MARK not in line:
                    payload = ast.literal_eval(found[2])
                    due = [time.monotonic() + arena.dice.uniform(*late) for _ in range(copies)]
                    waiting.extend((moment, found[1], payload) for moment in due)
        time.sleep(0.1)


def _what_valkey_does(arena: Arena, deadline: float) -> Iterator[str]:
    with arena.rig.broker() as broker:
        connection = broker.connection_pool.get_connection()
        try:
            connection.send_command("MONITOR")
            connection.read_response()
            while time.monotonic() < deadline:
                yield str(connection.read_response())
        finally:
            connection.disconnect()


def _push(arena: Arena, queue: str, payload: str) -> None:
    message = json.loads(payload)
    message["properties"]["delivery_tag"] = str(uuid.uuid4())
    message["headers"][MARK] = True
    with arena.rig.broker() as broker:
        broker.lpush(queue, json.dumps(message))


@row("F35", "messages lost at random: a thief takes them", resumed_bar=(10.0, 15.0))
async def f35(arena: Arena) -> None:
    await asyncio.to_thread(_steal, arena, 12 * arena.scale)
    arena.notes.append(f"{len(arena.faults)} messages lost")
    arena.expect(arena.faults, "no message was lost")


def _steal(arena: Arena, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with arena.rig.broker() as broker:
        while time.monotonic() < deadline:
            queues = list(QUEUES)
            arena.dice.shuffle(queues)
            if broker.brpop(queues, timeout=1):
                arena.struck()
            time.sleep(arena.dice.uniform(0.1, 0.6))


@row("F36", "poison: garbage, bad base64, wrong arity, unknown tasks, pickles, 50 MB")
async def f36(arena: Arena) -> None:
    for queue in QUEUES:
        for poison in _poisons(queue):
            arena.struck()
            await asyncio.to_thread(_lpush, arena, queue, poison)
            await arena.sleep(0.3)
    began = time.monotonic()
    waiting = await arena.rig.until(arena.rig.workers_listen, seconds=60)
    arena.expect(waiting, "I8: not every worker takes messages again 60 s after the poison")
    arena.notes.append(f"all workers take messages again after {time.monotonic() - began:.1f} s")


def _lpush(arena: Arena, queue: str, payload: str) -> None:
    with arena.rig.broker() as broker:
        broker.lpush(queue, payload)


def _envelope(queue: str, body: str, *, task: str, content_type: str = "application/json") -> str:
    return json.dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": content_type,
            "headers": {
                "lang": "py",
                "task": task,
                "id": str(uuid.uuid4()),
                "argsrepr": "()",
                "kwargsrepr": "{}",
            },
            "properties": {
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )


def _encoded(args: list[object], kwargs: Mapping[str, object]) -> str:
    return base64.b64encode(json.dumps([args, kwargs, {}]).encode()).decode()


def _poisons(queue: str) -> list[str]:
    wrong: dict[str, object] = {"batch_id": "x"}
    poisons = [
        "this is not JSON",
        "{}",
        _envelope(queue, "§§§ not base64", task="orders.settle"),
        _envelope(queue, _encoded([1, 2, 3], {}), task="orders.settle"),
        _envelope(queue, _encoded([], wrong), task="orders.settle"),
        _envelope(queue, _encoded([], {}), task="orders.no_such_task"),
        _envelope(
            queue,
            base64.b64encode(b"\x80\x04N.").decode(),
            task="orders.settle",
            content_type="application/x-python-serialize",
        ),
    ]
    return poisons + (
        [_envelope(queue, "A" * 50_000_000, task="orders.settle")] if queue == "shipping" else []
    )


@row("F37", "a deploy with messages of another release queued: new keywords, renamed tasks")
async def f37(arena: Arena) -> None:
    await arena.rig.take_down(*STEP_WORKERS)
    arena.struck()
    await arena.sleep(4)
    for queue, task in (("orders", "orders.settle"), ("payments", "payments.capture_payment")):
        future: dict[str, object] = {"batch_id": 1, "of_the_next_release": True}
        await asyncio.to_thread(_lpush, arena, queue, _envelope(queue, _encoded([], future), task=task))
        await asyncio.to_thread(
            _lpush, arena, queue, _envelope(queue, _encoded([], {}), task=f"{queue}.renamed")
        )
    arena.rig.bring_up(*STEP_WORKERS)
    await arena.sleep(3)
