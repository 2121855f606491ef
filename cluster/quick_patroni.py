"""Runs Patroni so that a switchover costs as little time as PostgreSQL needs.

PostgreSQL is no child of Patroni's. Where the machine's init reaps late, as in many containers, a server that has ended
still looks alive, and the lead is kept for seconds while no order can be placed: this process adopts and reaps it.
Patroni also polls the shutdown once a second, without a setting (`STOP_POLLING_INTERVAL`, as of 4.1).
"""

import ctypes
import os
import signal
import sys
from types import FrameType

from patroni import __main__ as patroni
from patroni import postgresql

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# PostgreSQL takes a quarter of a second. Found alive with all written, it would be given one more.
POLL_SECONDS = 0.5
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main() -> int:
    """Return Patroni's exit status."""
    if not hasattr(postgresql, "STOP_POLLING_INTERVAL"):
        sys.exit("This Patroni has no STOP_POLLING_INTERVAL: see what of cluster/quick_patroni.py can go.")
    postgresql.STOP_POLLING_INTERVAL = POLL_SECONDS
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        patroni.main()
        return 0

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    return _reap_until(child)


def _reap_until(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    sys.exit(main())
