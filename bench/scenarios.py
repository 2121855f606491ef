"""Scenarios: each runs once with one contestant, starting its processes."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from bench.contestants import Contestant, Ours, Textbook, load
from bench.figures import Figures, measured, quantiles
from bench.history import Old, Young
from bench.live import live
from bench.load import Job, Tally
from bench.meters import Usage
from bench.nodes import OneNode, ThreeNodes, cluster
from bench.over import OverASGI
from bench.providers import Backlog, LateAnswers, Stragglers, Waiting, WaitingOnManyThreads
from bench.rig import FOUND_OUT, is_well
from bench.shards import FourShards, Shards, TwoShards, shards
from bench.stub import Manner

WARM_UP_ORDERS = 30
SHARED_WORKERS = 2
LATE_SECONDS = 30.0

# 100 orders at once; a trifle longer than they need at that rate.
AT_ONCE, RATE_AT_ONCE, AT_ONCE_SECONDS = 100, 10_000.0, 0.01005

Run = Callable[[Contestant, float], Figures]


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    run: Run
    seconds: float
    contestants: tuple[Callable[[], Contestant], ...] = (Ours, Textbook)
    rounds: int = 99  # upper limit
    is_usual: bool = True  # else only on request


# --- Backlog ----------------------------------------------------------------------------------------------

BACKLOG = 50_000
BACKLOG_WITH_A_PAST = 20_000
# Backlog per second of the scenario, for the textbook.
TEXTBOOK_ORDERS_PER_SECOND = 20


def backlog(contestant: Contestant, seconds: float) -> Figures:
    """Two workers for all queues drain a backlog."""
    orders = BACKLOG if isinstance(contestant, Ours) else int(TEXTBOOK_ORDERS_PER_SECOND * seconds)
    return _drained("backlog", contestant, orders)


def history(contestant: Contestant, seconds: float) -> Figures:  # noqa: ARG001 - a fixed number of orders
    """The same with fewer orders, on filled tables."""
    return _drained("history", contestant, BACKLOG_WITH_A_PAST)


def _drained(name: str, contestant: Contestant, orders: int) -> Figures:
    contestant.start_workers(shared=SHARED_WORKERS)
    _warm_up(contestant)
    after = contestant.last_id()
    with contestant.rig.frozen(contestant.freeze()):
        contestant.place(orders)
        _settle_down(contestant)
        before = contestant.rig.read()
    _until_idle(contestant, after, orders)
    figures = measured(name, contestant.name, orders, contestant.rig.read().since(before))
    figures.notes["confirmed"] = contestant.finished(after)
    return figures


# --- Intake -----------------------------------------------------------------------------------------------


def post(contestant: Contestant, seconds: float) -> Figures:
    """Single orders over eight connections without pauses."""
    contestant.start_web()
    job = Job(contestant.rig.ports["web"], "/api/orders", contestant.tokens, seconds)
    load(contestant.rig, _shorter(job))
    return _intake("post", contestant, job)


def bulk(contestant: Contestant, seconds: float) -> Figures:
    """1,000 orders per request (the textbook: 100) over two connections."""
    contestant.start_web()
    job = Job(
        contestant.rig.ports["web"],
        contestant.bulk_path,
        contestant.tokens,
        seconds,
        connections=2,
        lines=contestant.bulk_lines,
        content_type=contestant.bulk_type,
    )
    load(contestant.rig, _shorter(job))
    return _intake("bulk", contestant, job)


def sync_or_async(contestant: Contestant, seconds: float) -> Figures:
    """Single orders over 32 connections without pauses."""
    contestant.start_web()
    job = Job(contestant.rig.ports["web"], "/api/orders", contestant.tokens, seconds, connections=32)
    load(contestant.rig, _shorter(job))
    return _intake("sync-async", contestant, job)


def _intake(name: str, contestant: Contestant, job: Job) -> Figures:
    tally, usage = _under_load(contestant, job)
    figures = measured(name, contestant.name, tally.orders, usage, seconds=tally.seconds)
    figures.milliseconds = quantiles(tally.milliseconds)
    figures.notes |= {f"HTTP {status}": count for status, count in tally.statuses.items()}
    return figures


def at_once(contestant: Contestant, seconds: float) -> Figures:  # noqa: ARG001 - a fixed number of orders
    """100 orders within a hundredth of a second, over 100 connections, a worker per queue."""
    contestant.start_web()
    contestant.start_workers()
    _warm_up(contestant)
    after, before = contestant.last_id(), contestant.rig.read()
    port, path = contestant.rig.ports["web"], "/api/orders"
    tally = load(contestant.rig, Job(port, path, contestant.tokens, AT_ONCE_SECONDS, AT_ONCE, RATE_AT_ONCE))
    _until_idle(contestant, after, tally.orders)
    usage = contestant.rig.read().since(before).with_group("load generator", tally.cpu_seconds)
    figures = measured("at-once", contestant.name, tally.orders, usage)
    figures.milliseconds = quantiles(contestant.latencies(after))
    figures.notes |= {f"POST {name} ms": value for name, value in quantiles(tally.milliseconds).items()}
    cores = os.cpu_count() or 1
    used = figures.micros_per_order * tally.orders / 1e6
    figures.notes["% of the machine until the last is confirmed"] = 100 * used / usage.seconds / cores
    return figures


def _under_load(contestant: Contestant, job: Job) -> tuple[Tally, Usage]:
    before = contestant.rig.read()
    tally = load(contestant.rig, job)
    usage = contestant.rig.read().since(before)
    return tally, usage.with_group("load generator", tally.cpu_seconds)


def _shorter(job: Job) -> Job:
    return Job(job.port, job.path, job.tokens, 1.0, job.connections, 0.0, job.lines, job.content_type)


# --- From placed to confirmed -----------------------------------------------------------------------------


def quiet(rate: float, *, sandbox: bool = False) -> Callable[[Contestant, float], Figures]:
    """Return a scenario with single orders at a rate and a worker per queue."""
    name = f"quiet-{rate:.0f}" + ("-http" if sandbox else "")

    def run(contestant: Contestant, seconds: float) -> Figures:
        environment = _with_sandbox(contestant) if sandbox else {}
        contestant.start_web()
        contestant.start_workers(environment=environment)
        job = Job(contestant.rig.ports["web"], "/api/orders", contestant.tokens, seconds, 16, rate)
        load(contestant.rig, Job(job.port, job.path, job.tokens, 2.0, 4, 10.0))
        _until_idle(contestant, 0, 1)
        after = contestant.last_id()
        tally, usage = _under_load(contestant, job)
        backlog_seconds = _until_idle(contestant, after, tally.orders)
        figures = measured(name, contestant.name, tally.orders, usage, seconds=tally.seconds)
        figures.milliseconds = quantiles(contestant.latencies(after))
        figures.notes |= {"seconds behind at the end": backlog_seconds}
        figures.notes |= {f"POST {name} ms": value for name, value in quantiles(tally.milliseconds).items()}
        return figures

    return run


# Intake in thousands of orders per second: slightly above the drain rate; more would only slow the workers.
OFFERED_PER_SECOND = 6.4


def both(contestant: Contestant, seconds: float) -> Figures:
    """Concurrent bulk intake and processing; counts confirmed orders."""
    contestant.start_web()
    contestant.start_workers(shared=SHARED_WORKERS)
    _warm_up(contestant)
    after = contestant.last_id()
    job = Job(
        contestant.rig.ports["web"],
        contestant.bulk_path,
        contestant.tokens,
        seconds,
        connections=2,
        rate=OFFERED_PER_SECOND * 1000 / contestant.bulk_lines,
        lines=contestant.bulk_lines,
        content_type=contestant.bulk_type,
    )
    tally, usage = _under_load(contestant, job)
    confirmed = contestant.finished(after)
    figures = measured("both", contestant.name, confirmed, usage, seconds=tally.seconds)
    figures.notes |= {"placed": tally.orders, "still waiting at the end": tally.orders - confirmed}
    _until_idle(contestant, after, tally.orders, seconds=120)
    return figures


def _with_sandbox(contestant: Contestant) -> dict[str, str]:
    """Start the HTTP sandbox; return the contestant's variables for it."""
    contestant.rig.start_sandbox(latency_ms=0)
    url = f"http://127.0.0.1:{contestant.rig.ports['sandbox']}/payments"
    return {"PAYMENT_GATEWAY": "http", "PAYMENT_API_URL": url}


def _warm_up(contestant: Contestant) -> None:
    after = contestant.last_id()
    contestant.place(WARM_UP_ORDERS)
    _until_idle(contestant, after, WARM_UP_ORDERS)


def _settle_down(contestant: Contestant) -> None:
    """Flush and vacuum, so that the setup causes no work during the run."""
    with contestant.rig.connect() as connection:
        connection.execute("CHECKPOINT")
        connection.execute("VACUUM ANALYZE")


def _until_idle(contestant: Contestant, after: int, orders: int, *, seconds: float = 90.0) -> float:
    """Wait until no order is in flight; return the seconds."""
    started = time.perf_counter()
    contestant.rig.until(
        lambda: contestant.is_idle() and contestant.last_id() - after >= orders, "the orders", seconds=seconds
    )
    return time.perf_counter() - started


# --- The whole stack ----------------------------------------------------------------------------------------

IDLE_SETTLE_SECONDS = 15.0


def idle(contestant: Contestant, seconds: float) -> Figures:
    """The idle `make run` stack: memory, and CPU in µs per second."""
    ready = _start_stack(contestant)
    time.sleep(IDLE_SETTLE_SECONDS)
    before = contestant.rig.read()
    time.sleep(seconds)
    usage = contestant.rig.read().since(before)
    figures = Figures("idle", contestant.name, 0, usage.seconds, others=usage.others, steal=usage.steal)
    figures.notes |= {
        "PSS MB": contestant.rig.pss_megabytes()["stack"],
        "% of one core": 100 * usage.groups["stack"] / usage.seconds,
        "first start s": ready,
    }
    return figures


def second_start(contestant: Contestant, seconds: float) -> Figures:  # noqa: ARG001 - one start
    """`make run` on existing data, until ready."""
    _start_stack(contestant)
    contestant.rig.stop_processes()
    figures = Figures("second-start", contestant.name, 0, _start_stack(contestant))
    figures.notes["seconds until ready"] = figures.seconds
    return figures


def _start_stack(contestant: Contestant) -> float:
    """Start the launcher; return the seconds until /health is fine."""
    rig = contestant.rig
    started = time.perf_counter()
    rig.start(
        "stack", [sys.executable, "-m", "launcher.run"], without=FOUND_OUT, DATA_DIR=str(rig.folder / "stack")
    )
    rig.until(lambda: is_well(f"http://127.0.0.1:{rig.ports['proxy']}/health"), "the stack", seconds=120)
    return time.perf_counter() - started


# Name, title, provider, backlog, and a smaller backlog for the mode in which batches wait.
PROVIDERS = (
    ("provider-50ms", "a backlog, provider takes 50 ms", Manner(50), 6000, 2000),
    ("provider-200ms", "a backlog, provider takes 200 ms", Manner(200), 6000, 1500),
    ("provider-3s", "a backlog, provider takes 3 s", Manner(3000), 6000, 300),
    ("provider-tls", "a backlog, provider takes 200 ms, over TLS", Manner(200, tls=True), 6000, 1000),
)
STRAGGLERS = "provider-stragglers"
LATE = "late-answers"

SCENARIOS = [
    Scenario("backlog", "a backlog of orders drained, two workers", backlog, 10),
    Scenario("post", "POST /api/orders, 8 connections", post, 8),
    Scenario("bulk", "bulk intake", bulk, 8),
    Scenario("at-once", "100 orders at once, a worker per queue", at_once, 8),
    Scenario("quiet-5", "5 orders/s, placed to confirmed", quiet(5), 12),
    Scenario("quiet-20", "20 orders/s, placed to confirmed", quiet(20), 8),
    Scenario("quiet-100", "100 orders/s, placed to confirmed", quiet(100), 8, (Ours,)),
    Scenario("quiet-5-http", "5 orders/s with a provider over HTTP", quiet(5, sandbox=True), 12),
    *(
        Scenario(
            name,
            title,
            Backlog(name, manner, orders=orders, orders_of_old=orders_of_old),
            60,
            (Ours, Waiting),
        )
        for name, title, manner, orders, orders_of_old in PROVIDERS
    ),
    Scenario(
        STRAGGLERS,
        "20 orders/s, one call in 100 takes 20 s",
        Stragglers(STRAGGLERS, Manner(200, slow_one_in=100, slow_ms=20_000), rate=20),
        15,
        (Ours, Waiting),
    ),
    Scenario(
        LATE,
        "1,000 late answers of a provider, all at once",
        LateAnswers(LATE, Manner(6000, at_once=True), orders=1000),
        30,
        (Ours, WaitingOnManyThreads),
    ),
    Scenario("both", "bulk intake and processing together", both, 15, (Ours,)),
    Scenario(
        "live-own",
        "2,000 sockets, each on its order (deliveries)",
        live("live-own", sockets=2000, orders=2000, per_second=143, own=True),
        15,
        (Ours,),
    ),
    Scenario(
        "live-staff",
        "500 sockets on the staff's feed (deliveries)",
        live("live-staff", sockets=500, orders=100, per_second=10, own=False),
        10,
    ),
    Scenario("idle", "the whole stack with nothing to do", idle, 10, (Ours,), 1),
    Scenario("second-start", "the whole stack started again", second_start, 10, (Ours,), 1),
    Scenario(
        "sync-async",
        "POST /api/orders by threads (WSGI) and by an event loop (ASGI), 32 connections",
        sync_or_async,
        8,
        (Ours, OverASGI),
        is_usual=False,
    ),
    Scenario(
        "cluster",
        "40 orders/s through the front of one node and of three",
        cast("Run", cluster),  # its contestants start whole stacks
        20,
        (OneNode, ThreeNodes),
        is_usual=False,
    ),
    Scenario(
        "shards",
        "a backlog over 1, 2 and 4 databases, by owner",
        cast("Run", shards),  # its contestants have several rigs
        10,
        cast("tuple[Callable[[], Contestant], ...]", (Shards, TwoShards, FourShards)),
        is_usual=False,
    ),
    Scenario(
        "history", "a backlog drained with a past (HISTORY=)", history, 10, (Young, Old), is_usual=False
    ),
]
