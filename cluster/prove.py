"""Kills nodes of a running cluster under load, then checks invariants."""

import os
import time
from itertools import pairwise

from cluster import environment, faults, judge, release
from cluster.database import leader
from cluster.load import Load
from cluster.plan import BASE_DIR, Node, Plan, PlanError
from cluster.readiness import is_ready
from cluster.rows import AWAY_SECONDS, Row

RATE = 10.0
WARM_UP_SECONDS = 8.0
BACK_SECONDS = 150.0
CALM_SECONDS = 5.0
RESUMING = 2.0  # tolerance, as orders are polled each second


def prove_deaths(plan: Plan) -> list[str]:
    """Kill each node once under load, the leader's last; return violations."""
    load = new_load(plan)
    say(f"Proof: {load.rate:g} orders a second; each node is killed once, the leader's last.")
    first = leader(plan)
    wrong: list[str] = []
    load.start()
    try:
        time.sleep(WARM_UP_SECONDS)
        for node in sorted(plan.nodes, key=lambda node: node.name == first):
            wrong += _strike(plan, node, load)
    finally:
        load.stop()
    wrong += judge.judge(plan, load)
    report(load)
    return wrong


def prove_row(plan: Plan, row: Row) -> list[str]:
    """Run a row of the matrix under its own load; return violations."""
    if row.needs_namespaces and plan.network != "namespaces":
        say(f"{row.name} skipped: {row.title} needs NETWORK=namespaces")
        return []
    if row.needs_older and release.of(plan) == BASE_DIR:
        say(f"{row.name} skipped: {row.title} needs FROM=, a git revision or a folder with an older release")
        return []
    load = new_load(plan)
    load.start()
    time.sleep(WARM_UP_SECONDS)
    at, wrong = time.time(), []
    try:
        row.strike(plan, load)
    except (AssertionError, PlanError) as error:
        wrong.append(str(error))
    healed = time.time()
    wrong += [f"{node.name} did not come back" for node in plan.nodes if not comes_back(plan, node)]
    back = time.time()
    time.sleep(CALM_SECONDS)
    load.stop()
    silence = longest_silence(load, at, back)
    wrong += judge.judge(plan, load)
    delays = judge.pauses(plan, load, at) if row.is_gradual else judge.resumed(plan, load, at)
    summary = f"silent {silence:.1f} s (bar {row.silent:g}), {_resumed(delays)}, back {back - healed:.0f} s"
    say(f"{row.name} {row.title}: {summary}")
    report(load)
    if silence > row.silent:
        wrong.append(f"no 2xx for {silence:.1f} s, at most {row.silent:g} allowed")
    if delays and delays[-1] > row.resumed + RESUMING:
        wrong.append(f"an order in flight resumed after {delays[-1]:.1f} s, at most {row.resumed:g} allowed")
    refused = [t for t in load.tries if t.status // 100 != 2]
    if refused and not row.may_refuse:
        wrong.append(f"{len(refused)} tries were not answered well, such as {refused[0]}")
    return [f"{row.name}: {sentence}" for sentence in wrong]


def new_load(plan: Plan) -> Load:
    return Load(environment.common(plan)["PUBLIC_URL"], float(os.environ.get("RATE") or RATE))


def _strike(plan: Plan, node: Node, load: Load) -> list[str]:
    part = "the leader" if leader(plan) == node.name else "a standby"
    at = time.time()
    faults.kill(plan, node)
    time.sleep(AWAY_SECONDS)
    silence = longest_silence(load, at, time.time())
    faults.heal(plan, node)
    back = comes_back(plan, node)
    slowest = max((t.seconds for t in load.answered_since(at)), default=0.0)
    say(
        f"{node.name} ({part}) killed: answers silent {silence:.1f} s, slowest 2xx {slowest:.2f} s,"
        f" {_resumed(judge.resumed(plan, load, at))}; back {time.time() - at - AWAY_SECONDS:.0f} s after it may"
    )
    time.sleep(CALM_SECONDS)
    return [] if back else [f"{node.name} did not come back within {BACK_SECONDS:.0f} s"]


def _resumed(delays: list[float]) -> str:
    if not delays:
        return "no order was in flight"
    return f"orders in flight resumed after {delays[len(delays) // 2]:.1f} s (median), {delays[-1]:.1f} s (longest)"


def longest_silence(load: Load, since: float, until: float) -> float:
    moments = [
        since,
        *(t.at + t.seconds for t in load.answered_since(since) if t.at + t.seconds < until),
        until,
    ]
    return max(later - earlier for earlier, later in pairwise(moments))


def comes_back(plan: Plan, node: Node) -> bool:
    deadline = time.monotonic() + BACK_SECONDS
    while not is_ready(plan, node):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def report(load: Load) -> None:
    statuses: dict[int, int] = {}
    for attempt in load.tries:
        statuses[attempt.status] = statuses.get(attempt.status, 0) + 1
    statuses_seen = ", ".join(
        f"{count} times {status or 'no answer'}" for status, count in sorted(statuses.items())
    )
    say(f"{len(load.accepted)} orders answered with 2xx; all attempts: {statuses_seen}")


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201
