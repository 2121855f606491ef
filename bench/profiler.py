"""Profiles a rig's Python processes with py-spy, if installed."""

import contextlib
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.rig import Rig

PROFILED = ("web", "workers", "dispatcher", "live")
SHOWN = 20
WHERE = re.compile(r"(?<=\.py):\d+")
OURS = re.compile(r"\((?:orders|payments|inventory|shipping|notifications|database|providers|bench|config)/")


@contextlib.contextmanager
def profiled(rig: Rig, name: str) -> Iterator[None]:
    """Sample GIL holders from the first reading on; print the result."""
    program = shutil.which("py-spy", path=rig.environment["PATH"])
    if program is None:
        raise SystemExit("--profile needs py-spy; `pip install py-spy` in the virtual environment.")
    samplers: list[tuple[str, Path, subprocess.Popen[bytes]]] = []
    rig.on_ready = lambda: samplers.extend(_start(program, rig))
    try:
        yield
        for _, _, process in samplers:
            process.send_signal(signal.SIGINT)
            process.wait(20)
        for group, path, _ in samplers:
            _show(f"{name}, {group}", path)
    finally:
        rig.on_ready = lambda: None
        for _, _, process in samplers:
            process.kill()


def _start(program: str, rig: Rig) -> list[tuple[str, Path, subprocess.Popen[bytes]]]:
    started = []
    for group in PROFILED:
        for root in rig.pids(group):
            children = psutil.Process(root).children(recursive=True)
            # A prefork worker runs tasks in its child.
            for pid in [child.pid for child in children] or [root]:
                path = rig.folder / f"{group}-{pid}.folded"
                command = [
                    program,
                    "record",
                    "-p",
                    str(pid),
                    "-r",
                    "200",
                    "--gil",
                    "-f",
                    "raw",
                    "-o",
                    str(path),
                ]
                started.append((f"{group} {pid}", path, _quietly(command)))
    return started


def _quietly(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _show(title: str, path: Path) -> None:
    if not path.exists():
        return
    own: Counter[str] = Counter()
    under: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [WHERE.sub("", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        under.update({frame: int(count) for frame in dict.fromkeys(frames) if OURS.search(frame)})
    total = sum(own.values()) or 1
    print(f"\n{title}: {total} samples")
    for heading, counts in (("under our functions", under), ("directly in", own)):
        print(f"  {heading}")
        for frame, samples in counts.most_common(SHOWN):
            print(f"    {samples / total:6.1%}  {frame}")
