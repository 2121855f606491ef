"""Child processes that cannot outlive their parent."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from runtime.death_signal import set_death_signal


class Process(Protocol):
    """The used part of `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return the exit status, or None."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status. Raises subprocess.TimeoutExpired."""

    def send_signal(self, number: signal.Signals, /) -> None:
        """Signal the process alone, unless it has ended."""


def start_child(
    argv: Sequence[str],
    *,
    death_signal: signal.Signals,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: int | None = None,
    account: pwd.struct_passwd | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in its own process group. Raises OSError.

    The kernel sends it `death_signal` if we die first (Linux only). With `account` (root only) it runs as that user.
    """
    return subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        process_group=0,
        preexec_fn=die_with_parent(death_signal, os.getpid()),  # noqa: PLW1509 - callers are single-threaded
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )


def die_with_parent(death_signal: signal.Signals, parent: int) -> Callable[[], None]:
    """Linux only."""

    def follow() -> None:
        if not sys.platform.startswith("linux"):
            return
        set_death_signal(death_signal)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os._exit(1)

    return follow


def signal_group(process: Process, number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        # macOS: EPERM for a group of zombies.
        return


def stop_child(process: Process, *, stop_signal: signal.Signals, timeout: float) -> None:
    process.send_signal(stop_signal)
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)
        process.wait()
