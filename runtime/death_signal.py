"""The signal that the kernel sends a process whose parent dies. Linux only."""

import ctypes
import sys

PR_SET_PDEATHSIG = 1

# before any fork
_libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def set_death_signal(number: int) -> None:
    """Have the kernel send us this signal when our parent dies. Raises OSError outside Linux."""
    if _libc is None:
        raise OSError("only Linux has a parent-death signal")
    _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
