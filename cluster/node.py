"""`python -m cluster.node 2`: one node as a process tree: engines, then cluster/Procfile."""

import contextlib
import dataclasses
import sys
import time
from pathlib import Path

from cluster import environment
from cluster.nats_server import NatsServer
from cluster.patroni_server import PatroniServer
from cluster.plan import BRIDGE, NATS_READER, NATS_USER, Node, Plan, running_plan
from cluster.processes import end_leftovers
from cluster.watch import PatroniWatch
from launcher.console import Console
from launcher.data_folder import DataFolder, DataFolderError
from launcher.engines import Engine, EngineError
from launcher.engines.valkey import Valkey
from launcher.guardian import Guardian
from launcher.procfile import ProcfileError, parse
from launcher.run import RunError, Stopped, engine_program, preload, process_program, started, stop_on_signals
from launcher.supervisor import Supervisor

PROCFILE = Path(__file__).with_name("Procfile")
# A leader hands over and checkpoints first.
DATABASE_STOP_SECONDS = 20.0
POLL_SECONDS = 0.1


def main() -> int:
    """Return the exit status: 0 after a requested stop, 1 when the node could not start."""
    stop_on_signals()
    plan = running_plan(Path(sys.argv[2]))
    node = plan.node(int(sys.argv[1]))
    try:
        folder = DataFolder(node.folder)
        folder.lock()
        _stay_down(node)
        node.draining.unlink(missing_ok=True)
        end_leftovers(node)
        with Guardian() as guardian:
            launch(plan, node, guardian)
    except (RunError, DataFolderError, EngineError, ProcfileError) as error:
        print(f"{node.name} cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except Stopped:
        return 0
    return 0


def launch(plan: Plan, node: Node, guardian: Guardian) -> None:
    variables = environment.of_node(plan, node)
    engines = engines_of(plan, node)
    with contextlib.ExitStack() as stack:
        stack.callback(end_leftovers, node)
        running = [(engine, stack.enter_context(started(engine, guardian))) for engine in engines]
        preload(variables)
        _await(plan.prepared)
        programs = [
            dataclasses.replace(engine_program(engine), stop_seconds=_stop_seconds(engine))
            for engine in engines
        ]
        programs += [process_program(entry, variables) for entry in parse(PROCFILE.read_text())]
        width = max(len(program.name) for program in programs)
        console = Console(sys.stdout.fileno(), colour=False, width=width)
        watch = PatroniWatch(variables["PATRONI_URL"], lambda: supervisor.kill(PatroniServer.name))
        supervisor = Supervisor(programs, console, guardian, on_tick=watch)
        for engine, process in running:
            supervisor.attach(engine.name, process)
        supervisor.run()


def engines_of(plan: Plan, node: Node) -> list[Engine]:
    others = [other for other in plan.nodes if other is not node]
    valkey = Valkey(
        folder=node.folder / "valkey",
        port=node.ports["valkey"],
        password=plan.secrets["VALKEY_PASSWORD"],
        host=node.host,
    )
    nats = NatsServer(
        folder=node.folder / "nats",
        host=node.host,
        port=node.ports["nats"],
        monitor_port=node.ports["monitor"],
        route_port=node.ports["route"],
        server_name=node.name,
        users={NATS_USER: plan.secrets["NATS_PASSWORD"]},
        readers={NATS_READER: plan.secrets["NATS_READER_PASSWORD"]},
        route_password=plan.secrets["NATS_ROUTE_PASSWORD"],
        routes=[other.at("route") for other in others],
    )
    return [patroni_of(plan, node), valkey, nats]


def patroni_of(plan: Plan, node: Node) -> PatroniServer:
    return PatroniServer(
        folder=node.folder / "postgres",
        member=node.name,
        host=node.host,
        port=node.ports["patroni"],
        postgres_port=node.ports["postgres"],
        raft_port=node.ports["raft"],
        partners=[other.at("raft") for other in plan.nodes if other is not node],
        network="127.0.0.0/8" if plan.network == "loopback" else f"{BRIDGE}.0/24",
        password=plan.secrets["SUPERUSER_PASSWORD"],
        replication_password=plan.secrets["REPLICATION_PASSWORD"],
        patroni_password=plan.secrets["PATRONI_PASSWORD"],
        synchronous=plan.synchronous,
    )


def _stop_seconds(engine: Engine) -> float:
    return DATABASE_STOP_SECONDS if isinstance(engine, PatroniServer) else 0.0


def _stay_down(node: Node) -> None:
    while node.down.exists():
        time.sleep(POLL_SECONDS)


def _await(file: Path) -> None:
    while not file.exists():
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
