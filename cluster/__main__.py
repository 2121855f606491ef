"""`make cluster` starts three nodes and a balancer; `python -m cluster kill 2` injects a fault, `restart` restarts."""

import argparse
import os
import signal
import sys
from pathlib import Path

from cluster import network, release, rolling
from cluster.faults import FAULTS
from cluster.network import NetworkError
from cluster.plan import BASE_DIR, Plan, PlanError, open_plan, running_plan
from cluster.rows import ROWS
from cluster.run import run
from launcher.data_folder import DataFolder, DataFolderError
from launcher.engines import EngineError
from launcher.run import Stopped, stop_on_signals

ROLLING = ("restart", "upgrade")


def main() -> int:
    """Return the exit status: with --prove, that of the proof."""
    arguments = _parse(sys.argv[1:])
    path = Path(os.environ.get("CLUSTER_DIR") or BASE_DIR / ".data" / "cluster").resolve()
    try:
        if arguments.what == "run":
            os.environ["ROWS"] = ",".join(ROWS) if arguments.rows == "all" else arguments.rows
            os.environ["HOURS"], os.environ["SEED"] = str(arguments.hours), str(arguments.seed)
            wants_proof = arguments.prove or bool(arguments.rows or arguments.hours)
            return _run(path, arguments.older, prove=wants_proof)
        if arguments.what in ROLLING:
            return _roll(running_plan(path), arguments)
        return _strike(path, arguments.what, arguments.node)
    except (DataFolderError, EngineError, NetworkError, PlanError) as error:
        print(f"Cannot {arguments.what}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except Stopped:
        return 128 + signal.SIGTERM


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("what", nargs="?", default="run", choices=["run", *ROLLING, *FAULTS])
    parser.add_argument("node", nargs="?", type=int, help="1, 2 or 3; heal and restart without one take all")
    parser.add_argument(
        "--hours", type=float, default=0.0, help="kill a random node every minute for so long"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the long mode's dice")
    parser.add_argument("--code", type=Path, default=BASE_DIR, help="the folder of the release to upgrade to")
    parser.add_argument(
        "--from", dest="older", default="", help="run the nodes from this git revision or folder"
    )
    parser.add_argument(
        "--prove", action="store_true", help="kill each node once under load, then check invariants"
    )
    parser.add_argument("--rows", default="", help="rows of the fault matrix to prove, such as N3,N4, or all")
    return parser.parse_args(words)


def _run(path: Path, older: str, *, prove: bool) -> int:
    stop_on_signals()
    folder = DataFolder(path)
    folder.lock()
    plan = open_plan(folder, network=network.wanted())
    release.set_to(plan, _release(plan, older))
    return run(plan, prove=prove)


def _release(plan: Plan, older: str) -> Path:
    if not older:
        return BASE_DIR
    return Path(older) if Path(older).is_dir() else release.unpack(plan, older)


def _roll(plan: Plan, arguments: argparse.Namespace) -> int:
    if arguments.what == "upgrade":
        rolling.upgrade(plan, arguments.code)
        return 0
    for node in [plan.node(arguments.node)] if arguments.node else rolling.in_order(plan):
        print(rolling.restart(plan, node), flush=True)  # noqa: T201
    return 0


def _strike(path: Path, fault: str, number: int | None) -> int:
    plan = running_plan(path)
    if number is None and fault != "heal":
        raise PlanError(f"which node? make cluster-{fault} NODE=2")
    for node in plan.nodes if number is None else [plan.node(number)]:
        print(FAULTS[fault](plan, node))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
