"""PostgreSQL: restarted, killed, cut off, answers lost, out of connections."""

import asyncio
import contextlib
import signal

import psutil
import psycopg

from chaos.arena import Arena, row
from chaos.rig import STEP_WORKERS, WEBS

COMMIT = b"COMMIT"


@row("F21", "PostgreSQL restarted, fast and immediate")
async def f21(arena: Arena) -> None:
    for number in (signal.SIGINT, signal.SIGQUIT):
        arena.struck()
        await arena.rig.end_engine("postgres", number)
        await arena.sleep(2)
        await arena.rig.start_postgres()
        await arena.sleep(5)


@row("F22", "PostgreSQL killed: one backend after the other, then the server")
async def f22(arena: Arena) -> None:
    async for _ in arena.every(3, lasting=9):
        arena.struck()
        _kill_a_backend(arena)
    arena.struck()
    await arena.rig.end_engine("postgres", signal.SIGKILL)
    await arena.sleep(1)
    await arena.rig.start_postgres()
    await arena.sleep(4)


def _kill_a_backend(arena: Arena) -> None:
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(arena.rig.engines["postgres"].pid).children()
        backends = [child for child in children if "orders orders" in " ".join(child.cmdline())]
        if backends:
            arena.dice.choice(backends).kill()
            arena.rig.kills += 1


@row("F20", "workers cut off from PostgreSQL alone, for 12 s")
async def f20(arena: Arena) -> None:
    await arena.rig.restart(*STEP_WORKERS, **arena.rig.through_proxies("postgres"))
    await arena.sleep(5)
    arena.rig.proxies["postgres"].swallow()
    arena.struck()
    await arena.sleep(12)
    arena.rig.proxies["postgres"].cut()
    arena.rig.proxies["postgres"].heal()
    await arena.sleep(3)


@row("F23", "connections cut after COMMIT was sent, before its answer")
async def f23(arena: Arena) -> None:
    names = (*WEBS, *STEP_WORKERS, "dispatcher")
    await arena.rig.restart(*names, **arena.rig.through_proxies("postgres"))
    await arena.rig.until_ready()
    proxy, lost_before = arena.rig.proxies["postgres"], arena.rig.proxies["postgres"].lost_answers
    proxy.lose_answers_to(lambda said: COMMIT in said and arena.dice.random() < 0.04)
    await arena.sleep(20)
    proxy.heal()
    lost = proxy.lost_answers - lost_before
    arena.notes.append(f"{lost} answers to COMMIT lost")
    arena.expect(lost, "no answer to COMMIT was lost")


@row("F24", "PostgreSQL crowded: nearly no connection left, and hot rows locked")
async def f24(arena: Arena) -> None:
    crowd = [await asyncio.to_thread(_connect, arena) for _ in range(150)]
    arena.struck()
    await arena.sleep(3)
    for _ in range(2):
        await asyncio.to_thread(_hold_locks, arena, 4.0 * arena.scale)
        arena.struck()
    for connection in crowd:
        if connection:
            connection.close()


def _connect(arena: Arena) -> psycopg.Connection | None:
    try:
        return psycopg.connect(arena.rig.postgres.url, connect_timeout=5, autocommit=True)
    except psycopg.OperationalError:
        return None


def _hold_locks(arena: Arena, seconds: float) -> None:
    with contextlib.suppress(psycopg.Error), psycopg.connect(arena.rig.postgres.url) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute("SELECT FROM inventory_stockitem ORDER BY product_id FOR UPDATE")
        connection.execute("SELECT pg_sleep(%s)", [seconds])
