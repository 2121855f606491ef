"""A small process that cleans up after a killed launcher.

The parent-death signal reaches only direct children, on Linux. The guardian knows each process group, and notices the
launcher's death by the end of a pipe. A fresh interpreter needs less memory than a fork.
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
    """Forks: create it while single-threaded."""

    def __init__(self) -> None:
        reader, self._pipe = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _exec_guardian(reader)
        os.close(reader)

    def __enter__(self) -> "Guardian":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._pipe)
        os.waitpid(self._pid, 0)

    def watch(self, pid: int, *, stop_signal: signal.Signals | None = None) -> None:
        """After our death, send `stop_signal` if given, and kill the group of `pid`."""
        self._send(f"{pid} {int(stop_signal or signal.SIGKILL)}\n")

    def forget(self, pid: int) -> None:
        """Stop watching: the kernel may reuse the pid."""
        self._send(f"{pid} 0\n")

    def _send(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except BrokenPipeError:
            return  # the guardian was killed; the parent-death signal remains


def _exec_guardian(pipe: int) -> None:
    """Exec the guardian, with these signals ignored; never returns."""
    try:
        os.setsid()
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.set_inheritable(pipe, True)  # noqa: FBT003 - signature of the os module
        os.execv(sys.executable, [sys.executable, "-I", "-S", __file__, str(pipe)])  # noqa: S606 - our own file
    finally:
        os._exit(1)


def _listen(pipe: int) -> dict[int, int]:
    """Return the groups still watched when the launcher died."""
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
    """Kill clients first, so that engines can close their files; then kill what is left."""
    for pid, number in sorted(groups.items(), key=lambda group: group[1] != signal.SIGKILL):
        _signal(pid, number)
    deadline = time.monotonic() + STOP_SECONDS
    while any(_signal(pid, 0) for pid in groups) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    for pid in groups:
        _signal(pid, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    _end(_listen(int(sys.argv[1])))
