"""Child processes that cannot outlive the process that started them."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

PR_SET_PDEATHSIG = 1

# Looked up once, before any fork: a forked child should do as little as possible before its exec.
_libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


class Process(Protocol):
    """A child process: what is used of `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return the status once it has ended; negative: the signal that ended it."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the status; raises subprocess.TimeoutExpired."""

    def send_signal(self, number: signal.Signals, /) -> None:
        """Send it to the process alone, if that has not ended."""


def start_child(
    argv: Sequence[str],
    *,
    death_signal: signal.Signals,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: int | None = None,
    account: pwd.struct_passwd | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own.

    `death_signal` is what the kernel sends it should we die without having stopped it (Linux only). `output`
    is the file descriptor for stdout and stderr, by default ours. With `account` (root only) it runs as that.
    Raises OSError when the program cannot be started.
    """
    return subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        process_group=0,
        preexec_fn=die_with_parent(death_signal, os.getpid()),  # noqa: PLW1509 - its callers have a single thread
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )


def die_with_parent(death_signal: signal.Signals, parent: int) -> Callable[[], None]:
    """Return what a child calls so that the kernel sends it the signal when its parent dies (Linux only)."""

    def arrange() -> None:
        if _libc is None:
            return
        _libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between our fork and the line above
            os._exit(1)

    return arrange


def signal_group(process: Process, number: signal.Signals) -> None:
    """Send a signal to the program and everything it has started; those already gone are no error."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        # macOS answers EPERM for a group that holds nothing but zombies.
        return


def stop_child(process: Process, *, stop_signal: signal.Signals, timeout: float) -> None:
    """Ask the program to end; kill its whole group when it has not within `timeout` seconds."""
    process.send_signal(stop_signal)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)
        process.wait()
