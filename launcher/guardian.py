"""A small process that cleans up after a launcher that was killed and could not do it itself.

The kernel's parent-death signal reaches only our direct children, and only on Linux. The guardian knows each
child's process group, and learns of our end by the end of a pipe that only we hold open for writing.

It is an interpreter of its own with nothing in it: a mere fork would keep a copy of all that we had imported.
"""

import os
import signal
import sys
import time
from types import TracebackType

STOP_SECONDS = 10.0
POLL_SECONDS = 0.05
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class Guardian:
    """Started by a fork, so create it in a single thread; it ends with its `with` block."""

    def __init__(self) -> None:
        reader, self._pipe = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _become(reader)
        os.close(reader)

    def __enter__(self) -> "Guardian":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._pipe)
        os.waitpid(self._pid, 0)

    def watch(self, pid: int, *, stop_signal: signal.Signals | None = None) -> None:
        """After our death, kill the group that `pid` leads; send `stop_signal` first when there is one."""
        self._tell(f"{pid} {int(stop_signal or signal.SIGKILL)}\n")

    def forget(self, pid: int) -> None:
        """That one has ended: its number may soon belong to somebody else."""
        self._tell(f"{pid} 0\n")

    def _tell(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except BrokenPipeError:
            return  # somebody killed the guardian; the parent-death signal still holds


def _become(pipe: int) -> None:
    """Be the guardian; never returns. What is ignored here stays ignored there."""
    try:
        os.setsid()
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.set_inheritable(pipe, True)  # noqa: FBT003 - as the system has it
        os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, str(pipe)])  # noqa: S606 - our own file
    finally:
        os._exit(1)


def _listen(pipe: int) -> dict[int, int]:
    """Read until the launcher is gone; what it has not taken back by then, with the signal for each."""
    groups: dict[int, int] = {}
    with os.fdopen(pipe) as lines:
        for line in lines:
            pid, number = (int(word) for word in line.split())
            if number:
                groups[pid] = number
            else:
                groups.pop(pid, None)
    return groups


def _end(groups: dict[int, int]) -> None:
    """Kill what may be killed; let the engines, which are its servers, close their files first."""
    for pid, number in sorted(groups.items(), key=lambda group: group[1] != signal.SIGKILL):
        _signal(pid, number)
    deadline = time.monotonic() + STOP_SECONDS
    while any(_signal(pid, 0) for pid in groups) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for pid in groups:
        _signal(pid, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Whether the group still exists."""
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    _end(_listen(int(sys.argv[1])))
