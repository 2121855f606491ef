"""`make cluster` starts three nodes and a balancer; `python -m cluster kill 2` injects a fault."""

import argparse
import os
import signal
import sys
from pathlib import Path

from cluster import network
from cluster.faults import FAULTS
from cluster.network import NetworkError
from cluster.plan import BASE_DIR, PlanError, open_plan, running_plan
from cluster.rows import ROWS
from cluster.run import run
from launcher.data_folder import DataFolder, DataFolderError
from launcher.engines import EngineError
from launcher.run import Stopped, stop_on_signals


def main() -> int:
    """Return the exit status: with --prove, that of the proof."""
    arguments = _parse(sys.argv[1:])
    path = Path(os.environ.get("CLUSTER_DIR") or BASE_DIR / ".data" / "cluster").resolve()
    try:
        if arguments.what == "run":
            os.environ["ROWS"] = ",".join(ROWS) if arguments.rows == "all" else arguments.rows
            return _run(path, prove=arguments.prove or bool(arguments.rows))
        return _strike(path, arguments.what, arguments.node)
    except (DataFolderError, EngineError, NetworkError, PlanError) as error:
        print(f"Cannot {arguments.what}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except Stopped:
        return 128 + signal.SIGTERM


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("what", nargs="?", default="run", choices=["run", *FAULTS])
    parser.add_argument("node", nargs="?", type=int, help="1, 2 or 3; heal without one heals all")
    parser.add_argument(
        "--prove", action="store_true", help="kill each node once under load, then check invariants"
    )
    parser.add_argument("--rows", default="", help="rows of the fault matrix to prove, such as N3,N4, or all")
    return parser.parse_args(words)


def _run(path: Path, *, prove: bool) -> int:
    stop_on_signals()
    folder = DataFolder(path)
    folder.lock()
    return run(open_plan(folder, network=network.wanted()), prove=prove)


def _strike(path: Path, fault: str, number: int | None) -> int:
    plan = running_plan(path)
    if number is None and fault != "heal":
        raise PlanError(f"which node? make cluster-{fault} NODE=2")
    for node in plan.nodes if number is None else [plan.node(number)]:
        print(FAULTS[fault](plan, node))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
