"""Valkey: killed, emptied, frozen, full, cut off."""

import asyncio
import signal

import redis

from chaos.arena import Arena, row
from chaos.disk import SmallDisk

EMPTY_BAR = 30.0
FAST_POST = 0.2
VALKEY_ROOM, POSTGRES_ROOM = 48, 64  # megabytes
AFTER_FULL_DISKS = 60.0


@row("F13", "Valkey killed, its files kept; back after 0.2, 4 and 10 s", post_bar=FAST_POST)
async def f13(arena: Arena) -> None:
    for away in (0.2, 4, 10):
        arena.struck()
        await arena.rig.end_engine("valkey", signal.SIGKILL)
        await arena.sleep(away)
        await arena.rig.start_valkey()
        await arena.sleep(3)


@row("F14", "Valkey killed and its data lost, twice", within=EMPTY_BAR, post_bar=FAST_POST)
async def f14(arena: Arena) -> None:
    for away in (1, 5):
        arena.struck()
        await arena.rig.end_engine("valkey", signal.SIGKILL)
        await arena.sleep(away)
        await arena.rig.start_valkey(empty=True)
        await arena.sleep(4)


@row("F15", "FLUSHALL under load, five times", within=EMPTY_BAR)
async def f15(arena: Arena) -> None:
    async for _ in arena.every(2.5, lasting=12):
        arena.struck()
        await asyncio.to_thread(_flush, arena)


def _flush(arena: Arena) -> None:
    with arena.rig.broker() as broker:
        broker.flushall()


@row("F16", "Valkey frozen for 15 s", post_bar=FAST_POST)
async def f16(arena: Arena) -> None:
    arena.rig.signal_engine("valkey", signal.SIGSTOP)
    arena.struck()
    await arena.sleep(15)
    arena.rig.signal_engine("valkey", signal.SIGCONT)


@row("F17", "Valkey out of memory (noeviction) for 8 s", post_bar=FAST_POST)
async def f17(arena: Arena) -> None:
    with arena.rig.broker() as broker:
        before = broker.config_get("maxmemory")["maxmemory"]
        broker.config_set("maxmemory", "1mb")
        arena.struck()
        await arena.sleep(8)
        broker.config_set("maxmemory", before)


@row("F18", "every client of Valkey disconnected every second")
async def f18(arena: Arena) -> None:
    async for number in arena.every(1.0, lasting=15):
        kind = "pubsub" if number % 2 else "normal"
        arena.struck()
        await asyncio.to_thread(disconnect, arena, kind)


def disconnect(arena: Arena, kind: str) -> None:
    with arena.rig.broker() as broker:
        broker.client_kill_filter(_type=kind, skipme=True)


@row("F19", "workers and dispatcher cut off from Valkey for 8 s, then for 20 s")
async def f19(arena: Arena) -> None:
    names = ("worker-payments", "worker-inventory", "worker-orders", "dispatcher")
    await arena.rig.restart(*names, **arena.rig.through_proxies("valkey"))
    await arena.sleep(3)
    for seconds in (8, 20):
        arena.rig.proxies["valkey"].swallow()
        arena.struck()
        await arena.sleep(seconds)
        arena.rig.proxies["valkey"].cut()
        arena.rig.proxies["valkey"].heal()
        await arena.sleep(4)


@row("F25", "Valkey's disk is full, then PostgreSQL's; both have room again", within=AFTER_FULL_DISKS)
async def f25(arena: Arena) -> None:
    """Run each engine on a small file system. Data dropped with Valkey's would be lost anyway."""
    rig = arena.rig
    await rig.end_engine("valkey", signal.SIGTERM)
    disk = await asyncio.to_thread(SmallDisk, rig.valkey.folder, room=VALKEY_ROOM)
    await rig.start_valkey(entry=disk.entry)
    await _full_for_a_while(arena, disk)
    with rig.broker() as broker:
        arena.notes.append(f"Valkey while full: {_refusals(broker)}")
    await rig.end_engine("valkey", signal.SIGKILL)
    await rig.start_valkey()
    disk.end()

    await rig.end_engine("postgres", signal.SIGINT)
    disk = await asyncio.to_thread(SmallDisk, rig.postgres.data, room=POSTGRES_ROOM)
    await rig.start_postgres(entry=disk.entry)
    await _full_for_a_while(arena, disk)
    if rig.engines["postgres"].poll() is not None:
        arena.notes.append("PostgreSQL gave up and was started again")
        await rig.start_postgres(entry=disk.entry)
        await arena.sleep(3)
    await rig.end_engine("postgres", signal.SIGINT)
    await asyncio.to_thread(disk.give_back)
    await rig.start_postgres()
    disk.end()


async def _full_for_a_while(arena: Arena, disk: SmallDisk) -> None:
    await arena.sleep(4)
    await asyncio.to_thread(disk.fill)
    arena.struck()
    await arena.sleep(8)
    await asyncio.to_thread(disk.empty)
    await arena.sleep(3)


def _refusals(broker: redis.Redis) -> str:
    errors = broker.info("errorstats")
    return ", ".join(f"{name.removeprefix('errorstat_')} {value['count']}" for name, value in errors.items())
