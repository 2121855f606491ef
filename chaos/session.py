"""A campaign run from the command line: how it starts, reports and stops. `attacks` runs its own with it."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any

from chaos.rig import Rig
from launcher.guardian import Guardian


class Session:
    """What a run prints, and whether the machine was quiet enough at its start to judge speed."""

    def __init__(self, *, log: str = "") -> None:
        self._log = Path(log) if log else None
        self._began, self._load = time.monotonic(), os.getloadavg()[0]
        self.is_quiet = self._load < (os.cpu_count() or 1)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Print a line at once, and append it to the log."""
        print(text, flush=True)  # noqa: T201
        if self._log:
            with self._log.open("a") as file:
                file.write(f"{text}\n")

    def describe(self, rig: Rig, *, seed: int, header: str) -> None:
        busy = "" if self.is_quiet else " (too busy to judge speed)"
        print(f"Logs in {rig.folder}/logs.", flush=True)  # noqa: T201 - not for the log file
        self.say(f"{len(rig.processes)} processes run after {self.seconds:.0f} s.")
        self.say(f"Seed {seed}, {os.cpu_count()} cores, load {self._load:.1f}{busy}.\n\n{header}")


def run(
    play: Callable[[Path, Guardian], Coroutine[Any, Any, bool]], session: Session, *, name: str, folder: str
) -> int:
    """Play a campaign and return the exit status: 0 if all held. Data and logs stay in `folder`, or after a failure."""
    signal.signal(signal.SIGTERM, _interrupt)
    place = Path(folder or tempfile.mkdtemp(prefix=f"{name}-"))
    with Guardian() as guardian:
        try:
            good = asyncio.run(play(place, guardian))
        except KeyboardInterrupt:
            session.say("Interrupted.")
            return 130
    if good and not folder:
        shutil.rmtree(place, ignore_errors=True)
    return 0 if good else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
