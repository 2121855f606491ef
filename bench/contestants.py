"""The contestants: our system and the textbook, with their processes and queries."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Protocol

from bench.load import Job, Tally
from bench.rig import ROOT, Rig, RigError
from launcher.procfile import expand, parse

NOTHING: Mapping[str, str] = MappingProxyType({})
PROCFILE = ROOT / "Procfile"
QUEUES = ("orders", "inventory", "shipping", "payments", "notifications")


class Contestant(Protocol):
    """A system that accepts and processes orders."""

    name: str
    rig: Rig
    tokens: list[str]
    bulk_path: str
    bulk_type: str
    bulk_lines: int
    # Whether each order's events are numbered, so that a listener detects gaps.
    numbers_events: bool

    def prepare(self) -> None:
        """Start engines; create tables, products and users."""

    def reset(self) -> None:
        """Delete all orders."""

    def start_web(self) -> None:
        """Start the web server."""

    def start_workers(self, *, shared: int = 0, environment: Mapping[str, str] = NOTHING) -> None:
        """Start a worker per queue, or `shared` workers for all queues."""

    def start_live(self) -> None:
        """Start the WebSocket server."""

    def place(self, count: int) -> None:
        """Place `count` orders while processing is paused."""

    def place_held(self, count: int) -> None:
        """Place held orders."""

    def release(self, count: int, per_second: float) -> None:
        """Release the latest held orders at a rate."""

    def commits(self, after: int) -> dict[tuple[int, int], float]:
        """Return commit times of events after that order id, by order and event number."""

    def freeze(self) -> str:
        """Return the process group whose freeze pauses processing."""

    def last_id(self) -> int:
        """Return the id of the latest order."""

    def finished(self, after: int) -> int:
        """Return the number of confirmed orders after that id."""

    def is_idle(self) -> bool:
        """Whether no order is in flight."""

    def latencies(self, after: int) -> list[float]:
        """Return the milliseconds from placement to the confirming commit, for orders after that id."""

    def audit(self) -> str:
        """Return the audit's verdict."""


class _Contestant:
    name = ""
    rig: Rig
    tokens: list[str]
    FINISHED = IDLE = LATENCIES = LAST = COMMITS = ""
    RESET: tuple[str, ...] = ()

    def reset(self) -> None:
        with self.rig.connect() as connection:
            for statement in self.RESET:
                connection.execute(statement)
        self.rig.flush_valkey()

    def last_id(self) -> int:
        return int(self._value(self.LAST))

    def finished(self, after: int) -> int:
        return int(self._value(self.FINISHED, after))

    def is_idle(self) -> bool:
        return bool(self._value(self.IDLE))

    def latencies(self, after: int) -> list[float]:
        with self.rig.connect() as connection:
            return [float(row[0]) for row in connection.execute(self.LATENCIES, [after])]

    def commits(self, after: int) -> dict[tuple[int, int], float]:
        with self.rig.connect() as connection:
            return {(order, number): at for order, number, at in connection.execute(self.COMMITS, [after])}

    def _value(self, statement: str, *parameters: Any) -> Any:
        return self.rig.value(statement, *parameters)


class Ours(_Contestant):
    """The system of this repository, its processes as the Procfile has them."""

    name = "ours"
    bulk_path, bulk_type, bulk_lines = "/api/orders/bulk", "application/x-ndjson", 5000
    RESET = (
        """
        TRUNCATE orders_order, orders_orderline, orders_journey, orders_orderevent, orders_batch, orders_stockqueue,
                 orders_idempotencykey, payments_transaction, inventory_reservation
        """,
        "UPDATE inventory_stockitem SET on_hand = on_hand + sold, reserved = 0, sold = 0",
        "VACUUM FULL inventory_stockitem",
    )
    LAST = "SELECT coalesce(max(id), 0) FROM orders_order"
    FINISHED = "SELECT count(*) FROM orders_journey WHERE order_id > %s AND status = 'confirmed'"
    IDLE = "SELECT NOT EXISTS (SELECT FROM orders_journey WHERE due_at IS NOT NULL)"
    LATENCIES = """
        SELECT 1000 * extract(epoch FROM pg_xact_commit_timestamp(e.xmin) - o.placed_at)
        FROM orders_order o JOIN orders_orderevent e ON e.order_id = o.id
        WHERE o.id > %s AND e.type = 'order_confirmed'
    """
    COMMITS = """
        SELECT order_id, sequence, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
        FROM orders_orderevent WHERE order_id > %s AND sequence > 1
    """
    numbers_events = True

    def __init__(self) -> None:
        self.rig = Rig(self.name)
        self.tokens = []
        self._environment: dict[str, str] = {}
        self._commands = {entry.name: entry.command for entry in parse(PROCFILE.read_text())}

    def prepare(self) -> None:
        self.rig.start_engines()
        self.rig.environment["PAYMENT_GATEWAY"] = "in_process"
        self.tokens = self.rig.run(sys.executable, "-m", "bench.shop", "prepare").split()

    def start_web(self) -> None:
        self._start("web", "web")
        self.rig.wait_for(f"http://127.0.0.1:{self.rig.ports['web']}/health/live")

    def start_workers(self, *, shared: int = 0, environment: Mapping[str, str] = NOTHING) -> None:
        self._environment = dict(environment)
        if shared:
            for number in range(shared):
                self._start("workers", "worker-orders", shared_as=f"all-{number}", environment=environment)
        else:
            for queue in QUEUES:
                self._start("workers", f"worker-{queue}", environment=environment)
        self._start("dispatcher", "dispatcher", environment=environment)
        self._await_workers(shared or len(QUEUES))

    def start_live(self) -> None:
        self._start("live", "live")
        self.rig.wait_for(f"http://127.0.0.1:{self.rig.ports['live']}/")

    def place(self, count: int) -> None:
        self.rig.run(sys.executable, "-m", "bench.shop", "place", str(count))

    def place_held(self, count: int) -> None:
        self.rig.run(sys.executable, "-m", "bench.shop", "place", str(count), "held")

    def release(self, count: int, per_second: float) -> None:
        self.rig.run(sys.executable, "-m", "bench.shop", "release", str(count), str(per_second))

    def freeze(self) -> str:
        return "dispatcher"

    def audit(self) -> str:
        environment = self.rig.environment | self._environment
        # The in-process provider keeps no ledger.
        without = ["--without-ledger"] if environment.get("PAYMENT_GATEWAY") == "in_process" else []
        done = subprocess.run(
            [sys.executable, "manage.py", "audit", *without],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return (done.stdout or done.stderr).strip()[-500:]

    def _start(
        self, group: str, process: str, *, shared_as: str = "", environment: Mapping[str, str] = NOTHING
    ) -> None:
        command = self._commands[process]
        if shared_as:
            command = command.replace("-Q orders -n orders@%h", f"-Q {','.join(QUEUES)} -n {shared_as}@%h")
            assert shared_as in command
        argv, assignments = expand(command, {**self.rig.environment, **environment})
        self.rig.start(group, argv, **(dict(environment) | assignments))

    def _await_workers(self, count: int) -> None:
        _await_workers(self.rig, "config", count)
        self.rig.until(
            lambda: bool(
                self._value("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%%')")
            ),
            "the dispatcher",
        )


class Textbook(_Contestant):
    name = "textbook"
    bulk_path, bulk_type, bulk_lines = "/api/orders", "application/json", 100
    RESET = (
        "TRUNCATE textbook_order, textbook_orderitem, textbook_payment, textbook_orderevent",
        "VACUUM FULL textbook_product",
    )
    LAST = "SELECT coalesce(max(id), 0) FROM textbook_order"
    FINISHED = "SELECT count(*) FROM textbook_order WHERE id > %s AND status = 'confirmed'"
    IDLE = "SELECT NOT EXISTS (SELECT FROM textbook_order WHERE status = 'pending')"
    LATENCIES = """
        SELECT 1000 * extract(epoch FROM pg_xact_commit_timestamp(e.xmin) - o.created_at)
        FROM textbook_order o JOIN textbook_orderevent e ON e.order_id = o.id
        WHERE o.id > %s AND e.type = 'order_confirmed'
    """
    COMMITS = """
        SELECT order_id, id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
        FROM textbook_orderevent WHERE order_id > %s AND type <> 'order_placed'
    """
    numbers_events = False

    def __init__(self) -> None:
        self.rig = Rig(self.name)
        self.tokens = []

    def prepare(self) -> None:
        self.rig.start_engines()
        self.rig.environment["DJANGO_SETTINGS_MODULE"] = "bench.textbook.settings"
        self.tokens = self.rig.run(sys.executable, "-m", "bench.textbook.control", "prepare").split()

    def start_web(self) -> None:
        port = self.rig.ports["web"]
        # The same server as ours, for fairness.
        server = (
            f"granian --interface wsgi --port {port} --workers 1 --blocking-threads 4 --backlog 1024 --no-ws"
        )
        self.rig.start("web", [*server.split(), "--log-level", "warning", "bench.textbook.wsgi:application"])
        self.rig.wait_for(f"http://127.0.0.1:{port}/api/orders")

    def start_workers(self, *, shared: int = 0, environment: Mapping[str, str] = NOTHING) -> None:
        queues = ["orders,inventory,shipping,payments"] * shared or [
            "orders",
            "inventory",
            "shipping",
            "payments",
        ]
        for number, queue in enumerate(queues):
            worker = f"celery -A bench.textbook.celery worker -Q {queue} -n w{number}@%h -c 1 -l warning"
            self.rig.start("workers", worker.split(), **environment)
        _await_workers(self.rig, "bench.textbook.celery", len(queues))

    def start_live(self) -> None:
        server = f"uvicorn bench.textbook.asgi:application --port {self.rig.ports['live']} --lifespan off"
        self.rig.start("live", [*server.split(), "--no-access-log", "--log-level", "warning"])
        self.rig.wait_for(f"http://127.0.0.1:{self.rig.ports['live']}/")

    def place(self, count: int) -> None:
        self.rig.run(sys.executable, "-m", "bench.textbook.control", "place", str(count))

    def place_held(self, count: int) -> None:
        self.rig.run(sys.executable, "-m", "bench.textbook.control", "place", str(count), "held")

    def release(self, count: int, per_second: float) -> None:
        self.rig.run(sys.executable, "-m", "bench.textbook.control", "release", str(count), str(per_second))

    def freeze(self) -> str:
        return "workers"

    def audit(self) -> str:
        """Count lost and doubly paid orders, as the textbook has no audit."""
        lost = self._value("SELECT count(*) FROM textbook_order WHERE status = 'pending'")
        twice = self._value(
            "SELECT count(*) FROM (SELECT FROM textbook_payment GROUP BY order_id HAVING count(*) > 1) AS twice"
        )
        return f"{lost} orders not finished, {twice} paid twice (no audit of its own)"


def _await_workers(rig: Rig, application: str, count: int) -> None:
    def answering() -> bool:
        found = subprocess.run(
            [sys.executable, "-m", "celery", "-A", application, "inspect", "ping", "--json", "-t", "2"],
            env=rig.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return found.returncode == 0 and len(json.loads(found.stdout)) >= count

    rig.until(answering, f"{count} workers")


def load(rig: Rig, job: Job) -> Tally:
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        env=rig.environment,
        cwd=ROOT,
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        check=False,
        timeout=job.seconds + 60,
    )
    if done.returncode:
        raise RigError(f"The load generator failed: {done.stderr[-2000:]}")
    return Tally(**json.loads(done.stdout))
