"""Restarts nodes one at a time without a refused order: drain, move the leader away, stop, start, wait.

`python -m cluster restart 2`, or without a number all of them, the leader's last.
"""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import requests

from cluster import database, environment, release
from cluster.plan import Node, Plan, PlanError
from cluster.readiness import answers, is_ready

# The balancer takes a node out after two failed checks a second apart, and in again after one.
BALANCER_SECONDS = 3.0
# A lost batch's orders are due again after LEASE_SECONDS.
BATCH_SECONDS = 8.0
STOP_SECONDS = 60.0
BACK_SECONDS = 150.0
SWITCH_SECONDS = 30.0
POLL_SECONDS = 0.2

UNFINISHED = """
    SELECT count(*) FROM orders_batch
    WHERE node = %s AND finished_at IS NULL AND started_at > now() - interval '8 seconds'
"""


def restart(plan: Plan, node: Node) -> str:
    """Restart a node; return once it serves again. Raises PlanError when a step takes too long."""
    others = [other for other in plan.nodes if other is not node]
    if not _await(lambda: all(is_ready(plan, other) for other in others), BACK_SECONDS):
        raise PlanError(f"The other nodes must be ready before {node.name} may stop.")
    began = time.monotonic()
    node.draining.touch()
    try:
        time.sleep(BALANCER_SECONDS)
        _await(lambda: not _batches(plan, node), BATCH_SECONDS)
        move_leader(plan, node)
        _stop(node)
    finally:
        node.draining.unlink(missing_ok=True)
    if not _await(lambda: is_ready(plan, node) and answers(node.at("web")), BACK_SECONDS):
        raise PlanError(f"{node.name} is not ready {BACK_SECONDS:.0f} s after its restart.")
    time.sleep(BALANCER_SECONDS)
    return f"{node.name} is restarted, after {time.monotonic() - began:.0f} s."


def in_order(plan: Plan) -> list[Node]:
    """Return the nodes with PostgreSQL's leader last, so that it moves once."""
    first = database.leader(plan)
    return sorted(plan.nodes, key=lambda node: node.name == first)


def upgrade(plan: Plan, folder: Path) -> None:
    """Migrate from a release's folder beside the running nodes, then restart them from it, one at a time."""
    before = release.of(plan)
    release.set_to(plan, folder)
    try:
        _migrate(plan, release.of(plan))
        for node in in_order(plan):
            restart(plan, node)
    except PlanError:
        release.set_to(plan, before)
        raise


def move_leader(plan: Plan, node: Node) -> None:
    """Hand PostgreSQL's leadership to a standby, if the node has it. Raises PlanError."""
    if database.leader(plan) != node.name:
        return
    with psycopg.connect(plan.superuser_url(), connect_timeout=2, autocommit=True) as connection:
        connection.execute("CHECKPOINT")  # else the one at its shutdown takes longer
    # Naming a candidate would cost two seconds: the other standbys would wait for it before they follow.
    answer = requests.post(
        f"http://{node.at('patroni')}/switchover",
        json={"leader": node.name},
        auth=("patroni", plan.secrets["PATRONI_PASSWORD"]),
        timeout=SWITCH_SECONDS,
    )
    if not _await(lambda: database.leader(plan) not in ("", node.name), SWITCH_SECONDS):
        raise PlanError(f"PostgreSQL's leader stays at {node.name}: {answer.text.strip()}")


def _migrate(plan: Plan, folder: Path) -> None:
    variables = environment.of_node(plan, plan.nodes[0]) | {"DATA_DIR": str(plan.folder)}
    argv = [release.interpreter(folder), "-m", "config.prepare"]
    if subprocess.run(argv, env=variables, cwd=folder, check=False).returncode:
        raise PlanError("The migrations failed; the nodes run the release before.")


def _batches(plan: Plan, node: Node) -> int:
    try:
        with psycopg.connect(plan.database_url(), connect_timeout=2) as connection:
            found = connection.execute(UNFINISHED, [node.name]).fetchone()
            return int(found[0]) if found else 0
    except psycopg.Error:
        return 1


def _stop(node: Node) -> None:
    first = psutil.Process(int((node.folder / "run.lock").read_text()))
    first.send_signal(signal.SIGTERM)
    psutil.wait_procs([first], timeout=STOP_SECONDS)


def _await(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return met
