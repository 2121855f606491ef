"""What a cluster costs: the whole stack on one node and on three, under the same load through its front."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.contestants import Ours
from bench.figures import Figures, measured, quantiles
from bench.rig import FOUND_OUT, Rig, RigError, is_well
from cluster.load import Load

# Set by the stack itself.
SET_BY_STACK = (*FOUND_OUT, "DATA_DIR", "SANDBOX_DATA")
RATE = 40.0
READY_SECONDS = 240.0
STOP_SECONDS = 90.0
WARM_UP_SECONDS = 5.0
IDLE_SECONDS = 10.0


class StackRig(Rig):
    """A rig whose only group is a stack; PostgreSQL under Patroni is in no one's process tree."""

    def _roots(self) -> dict[str, list[int]]:
        roots = super()._roots()
        return {"stack": [*roots.get("stack", []), *self._orphans()]} if roots else {}

    def _orphans(self) -> Iterator[int]:
        for process in psutil.process_iter(["name", "ppid"]):
            if process.info["name"] == "postgres" and process.info["ppid"] == 1 and self._is_ours(process):
                yield process.pid

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return Path(process.cwd()).is_relative_to(self.folder.resolve())
        except (psutil.Error, OSError):
            return False

    def stop_processes(self) -> None:
        """Stop the stack, which takes its time to hand over and to checkpoint."""
        for process in self._processes.get("stack", []):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        super().stop_processes()
        self.forget_connection()


class OneNode(Ours):
    """`make run`."""

    name = "one node"
    module = "launcher.run"

    def __init__(self) -> None:
        super().__init__()
        self.rig.stop()
        self.rig = StackRig(self.name.replace(" ", "-"))

    @property
    def folder(self) -> Path:
        return self.rig.folder / "stack"

    def prepare(self) -> None:
        """Nothing: the stack has engines of its own."""

    def reset(self) -> None:
        """Delete what the last run left: each starts with empty data."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the stack; return once it is well. Its front is at the rig's proxy port."""
        folders = {"DATA_DIR": str(self.folder), "CLUSTER_DIR": str(self.folder)}
        self.rig.start("stack", [sys.executable, "-m", self.module], without=SET_BY_STACK, **folders)
        front = f"http://127.0.0.1:{self.rig.ports['proxy']}"
        self.rig.until(lambda: self._is_ready(front), "the stack", seconds=READY_SECONDS)
        self.rig.environment |= self._own_environment()

    def _is_ready(self, front: str) -> bool:
        return is_well(f"{front}/health")

    def _own_environment(self) -> dict[str, str]:
        lines = (self.folder / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


class ThreeNodes(OneNode):
    """`make cluster`."""

    name = "three nodes"
    module = "cluster"

    def _is_ready(self, front: str) -> bool:
        log = self.rig.folder / "stack.log"
        return super()._is_ready(front) and b"Ready after" in log.read_bytes()


def cluster(contestant: OneNode, seconds: float) -> Figures:
    """Single orders at a rate through the front: CPU of everything but the clients, per order."""
    rig = contestant.rig
    contestant.start()
    load = Load(f"http://127.0.0.1:{rig.ports['proxy']}", RATE)
    with _under(load):
        time.sleep(WARM_UP_SECONDS)
    _at_rest(contestant)
    idle = rig.read()
    time.sleep(IDLE_SECONDS)
    before, after = rig.read(), contestant.last_id()
    load = Load(load.url, RATE)
    with _under(load):
        time.sleep(seconds)
    _at_rest(contestant)
    usage = rig.read().since(before)
    answered = len(load.accepted)
    if not answered:
        raise RigError(f"{contestant.name}: no order was answered with 2xx, such as {load.tries[:1]}")
    figures = measured("cluster", contestant.name, answered, usage)
    figures.milliseconds = quantiles([1000 * attempt.seconds for attempt in load.tries])
    idle_micros = before.since(idle).groups["stack"] / IDLE_SECONDS * 1e6
    figures.notes |= {
        "µs/order above idle": figures.micros_per_order - idle_micros * usage.seconds / answered,
        "idle, % of one core": idle_micros / 1e4,
        "confirmed": contestant.finished(after),
        "not 2xx": sum(attempt.status // 100 != 2 for attempt in load.tries),
    }
    return figures


@contextmanager
def _under(load: Load) -> Iterator[None]:
    load.start()
    try:
        yield
    finally:
        load.stop()


def _at_rest(contestant: OneNode) -> None:
    contestant.rig.until(contestant.is_idle, "the orders to come to rest", seconds=120)
