"""The node rows of the fault matrix, with their recovery limits.

Run with `make cluster ARGS="--prove --rows N3,N4"`.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
import redis

from cluster import faults, processes, rolling
from cluster.database import leader
from cluster.load import Load
from cluster.plan import BASE_DIR, Node, Plan

# In this time a leader that waits for no standby acknowledges orders that die with it.
UNREPLICATED_SECONDS = 1.5
AWAY_SECONDS = 32.0  # longer than an election
FROZEN_SECONDS = 60.0
CUT_SECONDS = 45.0
BACK_SECONDS = 150.0
POLL_SECONDS = 0.5

Strike = Callable[[Plan, Load], None]


@dataclass(frozen=True)
class Row:
    """A row: `strike` injects and heals; `silent` is the longest time without a 2xx, in seconds."""

    name: str
    title: str
    strike: Strike
    silent: float
    resumed: float
    may_refuse: bool = True  # 503 with Retry-After is allowed
    is_gradual: bool = False  # judged by the longest pause of any order, not from one moment on
    needs_namespaces: bool = False
    needs_older: bool = False  # the nodes run an older release


ROWS: dict[str, Row] = {}


def row(name: str, title: str, *, silent: float, resumed: float, **more: bool) -> Callable[[Strike], Strike]:
    def enter(strike: Strike) -> Strike:
        ROWS[name] = Row(name, title, strike, silent, resumed, **more)
        return strike

    return enter


# --- Whole nodes ------------------------------------------------------------------------------------------


@row("N1", "a node with a standby dies", silent=1, resumed=10, may_refuse=False)
def standby_dies(plan: Plan, _load: Load) -> None:
    _die(plan, standby_of(plan))


@row("N2", "the node of PostgreSQL's leader dies, just after its replication stopped", silent=25, resumed=35)
def leader_dies(plan: Plan, _load: Load) -> None:
    node = leader_of(plan)
    stop_replication(node)
    time.sleep(UNREPLICATED_SECONDS)
    _die(plan, node)


@row("N3", "PostgreSQL's leader dies, its node lives", silent=6, resumed=15)
def postgres_dies(plan: Plan, _load: Load) -> None:
    node = leader_of(plan)
    for process in processes.of_node(node):
        with suppress(psutil.Error):
            if process.name() == "postgres":
                process.kill()
    time.sleep(AWAY_SECONDS / 2)


@row("N4", "the node of PostgreSQL's leader freezes for a minute", silent=30, resumed=40)
def leader_freezes(plan: Plan, _load: Load) -> None:
    node = leader_of(plan)
    faults.freeze(plan, node)
    time.sleep(FROZEN_SECONDS)
    faults.heal(plan, node)


@row("N5", "a node with a standby is cut off", silent=5, resumed=40, needs_namespaces=True)
def standby_is_cut_off(plan: Plan, _load: Load) -> None:
    _cut_off(plan, standby_of(plan))


@row("N6", "the node of PostgreSQL's leader is cut off", silent=30, resumed=40, needs_namespaces=True)
def leader_is_cut_off(plan: Plan, _load: Load) -> None:
    _cut_off(plan, leader_of(plan))


@row("N10", "two of three nodes are down, then one comes back", silent=120, resumed=120)
def two_are_down(plan: Plan, load: Load) -> None:
    first, second = standby_of(plan), leader_of(plan)
    faults.kill(plan, first)
    faults.kill(plan, second)
    time.sleep(AWAY_SECONDS / 2)
    began = time.time()
    time.sleep(AWAY_SECONDS / 2)
    if early := load.answered_since(began + 1):
        raise AssertionError(f"{len(early)} orders were answered while two of three nodes were down")
    faults.heal(plan, second)
    _await(lambda: bool(load.answered_since(time.time() - 2)))
    faults.heal(plan, first)


@row("N11", "rolling restart", silent=2, resumed=5, may_refuse=False, is_gradual=True)
def rolling_restart(plan: Plan, _load: Load) -> None:
    for node in rolling.in_order(plan):
        rolling.restart(plan, node)


@row("N12", "rolling upgrade", silent=2, resumed=5, may_refuse=False, is_gradual=True, needs_older=True)
def rolling_upgrade(plan: Plan, _load: Load) -> None:
    rolling.upgrade(plan, BASE_DIR)


# --- NATS and Valkey --------------------------------------------------------------------------------------


@row("N7", "NATS dies on every node", silent=1, resumed=5, may_refuse=False)
def nats_dies(plan: Plan, _load: Load) -> None:
    for node in plan.nodes:
        _kill_programs(node, "nats-server")
    time.sleep(AWAY_SECONDS / 2)


@row("N8", "all data of JetStream are deleted", silent=1, resumed=5, may_refuse=False)
def stream_is_deleted(plan: Plan, _load: Load) -> None:
    for node in plan.nodes:
        shutil.rmtree(node.folder / "nats" / "jetstream", ignore_errors=True)
        _kill_programs(node, "nats-server")
        shutil.rmtree(node.folder / "nats" / "jetstream", ignore_errors=True)
    time.sleep(AWAY_SECONDS / 2)


@row("N9", "a node's Valkey dies, another's is emptied", silent=1, resumed=10, may_refuse=False)
def valkeys_fail(plan: Plan, _load: Load) -> None:
    _kill_programs(plan.nodes[0], "valkey-server")
    url = f"redis://:{plan.secrets['VALKEY_PASSWORD']}@{plan.nodes[1].at('valkey')}"
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        client.flushall()
    time.sleep(AWAY_SECONDS / 2)


# --- Helpers --------------------------------------------------------------------------------------------


def leader_of(plan: Plan) -> Node:
    name = leader(plan)
    return next(node for node in plan.nodes if node.name == name)


def standby_of(plan: Plan) -> Node:
    name = leader(plan)
    return next(node for node in plan.nodes if node.name != name)


def stop_replication(node: Node) -> None:
    """SIGSTOP what sends the leader's log to the standbys."""
    for process in processes.of_node(node):
        with suppress(psutil.Error):
            if process.name() == "postgres" and "walsender" in " ".join(process.cmdline()):
                process.suspend()


def _die(plan: Plan, node: Node) -> None:
    faults.kill(plan, node)
    time.sleep(AWAY_SECONDS)
    faults.heal(plan, node)


def _cut_off(plan: Plan, node: Node) -> None:
    faults.cut(plan, node)
    time.sleep(CUT_SECONDS)
    faults.heal(plan, node)


def _kill_programs(node: Node, name: str) -> None:
    for process in processes.of_node(node):
        with suppress(psutil.Error):
            if process.name().startswith(name[:15]):
                process.kill()


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BACK_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
