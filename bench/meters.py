"""Resource usage, from the kernel."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds so far: by process group, machine, hypervisor."""

    groups: dict[str, float]
    busy: float
    steal: float
    at: float

    def since(self, earlier: "Reading") -> "Usage":
        seconds = self.at - earlier.at
        groups = {name: used - earlier.groups.get(name, 0.0) for name, used in self.groups.items()}
        capacity = seconds * (os.cpu_count() or 1)
        others = max(0.0, self.busy - earlier.busy - sum(groups.values()))
        return Usage(
            seconds, groups, others / capacity if capacity else 0.0, (self.steal - earlier.steal) / capacity
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds by group; `others` and `steal` are shares of the machine."""

    seconds: float
    groups: dict[str, float]
    others: float
    steal: float

    def with_group(self, name: str, seconds: float) -> "Usage":
        share = seconds / (self.seconds * (os.cpu_count() or 1))
        return Usage(self.seconds, self.groups | {name: seconds}, max(0.0, self.others - share), self.steal)

    def micros_per(self, orders: int) -> dict[str, float]:
        return {name: used * 1e6 / orders for name, used in self.groups.items()} if orders else {}


def read(groups: Mapping[str, Iterable[int]]) -> Reading:
    children = _children()
    cpu = {name: sum(_cpu(pid) for pid in _tree(roots, children)) for name, roots in groups.items()}
    busy, steal = _machine()
    return Reading(cpu, busy, steal, _now())


def pss_megabytes(roots: Iterable[int]) -> float:
    return sum(_pss(pid) for pid in _tree(roots, _children())) / 1024


def _now() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid"]):
        found.setdefault(process.info["ppid"], []).append(process.pid)
    return found


def _tree(roots: Iterable[int], children: Mapping[int, list[int]]) -> list[int]:
    todo, found = list(roots), []
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found


def _cpu(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _machine() -> tuple[float, float]:
    user, nice, system, _idle, _wait, irq, soft, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + soft) / TICKS, steal / TICKS
