"""Live feed: latency from commit to thousands of sockets."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict

from bench.contestants import Contestant
from bench.figures import Figures, measured, quantiles
from bench.meters import Usage
from bench.rig import ROOT, RigError
from bench.sockets import SocketJob, Told

PATIENCE_SECONDS = 30.0
WITH_LISTENERS = {"IS_LIVE": "1"}  # otherwise the textbook sends no messages


def live(
    name: str, *, sockets: int, orders: int, per_second: float, own: bool
) -> Callable[[Contestant, float], Figures]:
    """Return a scenario: each socket on its `own` order, or all on the staff's feed."""

    def run(contestant: Contestant, seconds: float) -> Figures:  # noqa: ARG001 - lasts as long as the orders take
        contestant.start_live()
        contestant.start_workers(shared=2, environment=WITH_LISTENERS)
        after = contestant.last_id()
        contestant.place_held(orders)
        first = contestant.last_id() - orders + 1
        paths = [f"/ws/orders/{first + n}" if own else "/ws/orders" for n in range(sockets)]
        job = SocketJob(
            contestant.rig.ports["live"],
            contestant.tokens[0],
            paths,
            1 if own else orders,
            orders / per_second + PATIENCE_SECONDS,
        )
        return _figures(name, contestant, after, *_listened(contestant, job, orders, per_second))

    return run


def _listened(contestant: Contestant, job: SocketJob, orders: int, per_second: float) -> tuple[Told, Usage]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.sockets"],
        env=contestant.rig.environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as listeners:
        assert listeners.stdin
        assert listeners.stdout
        try:
            listeners.stdin.write(json.dumps(asdict(job)) + "\n")
            listeners.stdin.flush()
            if listeners.stdout.readline().strip() != "open":
                raise RigError("The sockets could not be opened.")
            before = contestant.rig.read()
            contestant.release(orders, per_second)
            told = Told(**json.loads(listeners.stdout.read()))
            usage = contestant.rig.read().since(before)
            return told, usage.with_group("load generator", told.cpu_seconds)
        finally:
            listeners.kill()


def _figures(name: str, contestant: Contestant, after: int, told: Told, usage: Usage) -> Figures:
    committed = contestant.commits(after)
    waits = [
        (at - committed[order, seq]) * 1000 for order, seq, at in told.messages if (order, seq) in committed
    ]
    times = [at for _, _, at in told.messages]
    figures = measured(name, contestant.name, len(waits), usage, seconds=max(times) - min(times))
    figures.milliseconds = quantiles(waits)
    figures.notes |= {
        "events/s": len(committed) / figures.seconds,
        "not delivered in time": len(committed) * told.listeners - len(waits),
        "sockets closed": told.closed,
    }
    if contestant.numbers_events:
        figures.notes |= {"lost": told.lost, "repeated": told.repeated}
    return figures
