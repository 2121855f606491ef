"""What must hold after nodes have died: nothing that was answered is missing, the audit is clean, the stream whole."""

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

REST_SECONDS = 120.0
STREAM_SECONDS = 60.0
POLL_SECONDS = 1.0
AT_REST = "('confirmed', 'completed', 'cancelled', 'rejected')"
UNREST = f"""
    SELECT count(*) FROM orders_journey
    WHERE attention = '' AND (due_at IS NOT NULL OR status NOT IN {AT_REST})
"""  # noqa: S608
# For orders that were under way when a node died: seconds from then to the order's next event.
RESUMED = """
    SELECT extract(epoch FROM min(later.at))::float8 - %(at)s FROM orders_orderevent before
    JOIN orders_orderevent later USING (order_id)
    JOIN orders_order o ON o.id = before.order_id AND o.customer_name LIKE %(tag)s
    WHERE before.at BETWEEN to_timestamp(%(at)s - 60) AND to_timestamp(%(at)s) AND later.at > to_timestamp(%(at)s)
      AND later.sequence > before.sequence
    GROUP BY before.order_id
"""


def judge(plan: Plan, load: Load) -> list[str]:
    """Wait for everything to come to rest; return what is wrong then."""
    wrong = _rest(plan) + _answered_are_there(plan, load) + _answers(load)
    return wrong + _command(plan, "audit") + _stream(plan)


def resumed(plan: Plan, load: Load, at: float) -> list[float]:
    """Return after how many seconds the orders that were under way at a moment went on."""
    return sorted(row[0] for row in rows(plan, RESUMED, {"at": at, "tag": f"{load.tag}-%"}))


def rows(plan: Plan, statement: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
    """Return what the leader answers."""
    with psycopg.connect(plan.database_url(), connect_timeout=2) as connection:
        return connection.execute(statement, parameters).fetchall()


def _rest(plan: Plan) -> list[str]:
    deadline = time.monotonic() + REST_SECONDS
    left = 1
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        try:
            ((left,),) = rows(plan, UNREST)
        except psycopg.Error:
            continue
    return [f"{left} orders are not at rest after {REST_SECONDS:.0f} s"] if left else []


def _answered_are_there(plan: Plan, load: Load) -> list[str]:
    ids = list(load.accepted.values())
    there = {row[0] for row in rows(plan, "SELECT id FROM orders_order WHERE id = ANY(%s)", [ids])}
    missing = [order for order in ids if order not in there]
    twice = rows(
        plan,
        "SELECT customer_name FROM orders_order WHERE customer_name LIKE %s GROUP BY 1 HAVING count(*) > 1",
        [f"{load.tag}-%"],
    )
    found = [f"{len(missing)} answered orders are missing, such as {missing[0]}"] if missing else []
    return found + ([f"{len(twice)} orders are there twice, such as {twice[0][0]}"] if twice else [])


def _answers(load: Load) -> list[str]:
    rude = [
        t for t in load.tries if t.status >= 400 and not (t.status == 503 and t.has_hint) and t.status != 409
    ]
    found = [f"{len(rude)} answers such as {rude[0]}"] if rude else []
    return found + ([f"{len(load.given_up)} orders were never answered"] if load.given_up else [])


def _stream(plan: Plan) -> list[str]:
    """Compare the stream; it may lag a little."""
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
