"""Invariants after node failures: no acknowledged order is lost, audit clean, stream complete."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from cluster import environment
from cluster.load import Load
from cluster.plan import BASE_DIR, Plan

Parameters = Sequence[Any] | Mapping[str, Any] | None

IDLE_SECONDS = 120.0
STREAM_SECONDS = 60.0
POLL_SECONDS = 1.0
LONGEST = 3
FINAL = "('confirmed', 'completed', 'cancelled', 'rejected')"
IN_FLIGHT = f"""
    SELECT count(*) FROM orders_journey
    WHERE attention = '' AND (due_at IS NOT NULL OR status NOT IN {FINAL})
"""  # noqa: S608
# Seconds from the failure to the next event of each order in flight.
RESUMED = """
    SELECT extract(epoch FROM min(later.at))::float8 - %(at)s FROM orders_orderevent before
    JOIN orders_orderevent later USING (order_id)
    JOIN orders_order o ON o.id = before.order_id AND o.customer_name LIKE %(tag)s
    WHERE before.at BETWEEN to_timestamp(%(at)s - 60) AND to_timestamp(%(at)s) AND later.at > to_timestamp(%(at)s)
      AND later.sequence > before.sequence
    GROUP BY before.order_id
"""
# Seconds between two successive events of an order, since a moment, and between which.
PAUSES = """
    SELECT extract(epoch FROM at - before)::float8, format('order %%s: %%s to %%s', order_id, first, type) FROM (
        SELECT e.order_id, e.at, e.type, lag(e.at) OVER w AS before, lag(e.type) OVER w AS first
        FROM orders_orderevent e JOIN orders_order o ON o.id = e.order_id
        WHERE o.customer_name LIKE %(tag)s
        WINDOW w AS (PARTITION BY e.order_id ORDER BY e.sequence)
    ) AS pairs WHERE before IS NOT NULL AND at > to_timestamp(%(at)s) ORDER BY 1
"""


def judge(plan: Plan, load: Load) -> list[str]:
    wrong = _await_idle(plan) + _missing_orders(plan, load) + _answers(load)
    return wrong + _command(plan, "audit") + _stream(plan)


def resumed(plan: Plan, load: Load, at: float) -> list[float]:
    """Return the sorted delays until orders in flight at a moment resumed, in seconds."""
    return sorted(row[0] for row in rows(plan, RESUMED, {"at": at, "tag": f"{load.tag}-%"}))


def pauses(plan: Plan, load: Load, since: float) -> list[float]:
    """Return the sorted pauses between the events of each order, in seconds; print the longest."""
    found = rows(plan, PAUSES, {"at": since, "tag": f"{load.tag}-%"})
    for seconds, which in found[-LONGEST:]:
        print(f"paused for {seconds:.1f} s, {which}", flush=True)  # noqa: T201
    return [seconds for seconds, _ in found]


def rows(plan: Plan, statement: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
    with psycopg.connect(plan.database_url(), connect_timeout=2) as connection:
        return connection.execute(statement, parameters).fetchall()


def _await_idle(plan: Plan) -> list[str]:
    deadline = time.monotonic() + IDLE_SECONDS
    left = 1
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        try:
            ((left,),) = rows(plan, IN_FLIGHT)
        except psycopg.Error:
            continue
    return [f"{left} orders are still in flight after {IDLE_SECONDS:.0f} s"] if left else []


def missing(plan: Plan, load: Load) -> list[int]:
    """Return the ids of acknowledged orders that are not stored."""
    ids = list(load.accepted.values())
    there = {row[0] for row in rows(plan, "SELECT id FROM orders_order WHERE id = ANY(%s)", [ids])}
    return [order for order in ids if order not in there]


def _missing_orders(plan: Plan, load: Load) -> list[str]:
    lost = missing(plan, load)
    twice = rows(
        plan,
        "SELECT customer_name FROM orders_order WHERE customer_name LIKE %s GROUP BY 1 HAVING count(*) > 1",
        [f"{load.tag}-%"],
    )
    found = [f"{len(lost)} acknowledged orders are missing, such as {lost[0]}"] if lost else []
    return found + ([f"{len(twice)} orders are duplicated, such as {twice[0][0]}"] if twice else [])


def _answers(load: Load) -> list[str]:
    unexpected = [
        t for t in load.tries if t.status >= 400 and not (t.status == 503 and t.has_hint) and t.status != 409
    ]
    found = [f"{len(unexpected)} unexpected answers such as {unexpected[0]}"] if unexpected else []
    return found + ([f"{len(load.given_up)} orders were never answered"] if load.given_up else [])


def _stream(plan: Plan) -> list[str]:
    """Compare the stream, which may lag."""
    deadline = time.monotonic() + STREAM_SECONDS
    while (wrong := _command(plan, "stream", "check")) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return wrong


def _command(plan: Plan, *words: str) -> list[str]:
    variables = environment.of_node(plan, plan.nodes[0]) | {"DATA_DIR": str(plan.folder)}
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        env=os.environ | variables,
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    print(f"{' '.join(words)}: {said.splitlines()[-1] if said else 'nothing'}", flush=True)  # noqa: T201
    return [f"{' '.join(words)}: {said[-800:]}"] if done.returncode else []
