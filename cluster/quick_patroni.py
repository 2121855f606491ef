"""Starts Patroni with a shorter poll of its server's shutdown, for which it has no setting.

A switchover polls twice, a second apart, before it releases the lead; no order can be placed meanwhile. Goes
when Patroni has such a setting (`STOP_POLLING_INTERVAL` in patroni/postgresql, as of 4.1).
"""

from patroni import __main__ as patroni
from patroni import postgresql

# PostgreSQL takes a quarter of a second. Found still running with all written, it would be given one more.
SECONDS = 0.5

if not hasattr(postgresql, "STOP_POLLING_INTERVAL"):
    raise SystemExit(
        "This Patroni has no STOP_POLLING_INTERVAL: see whether cluster/quick_patroni.py can go."
    )
postgresql.STOP_POLLING_INTERVAL = SECONDS

if __name__ == "__main__":
    patroni.main()
