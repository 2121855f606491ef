"""Tunes Python's garbage collector for long-running processes."""

import gc

# Threshold of the youngest generation: more than a batch or a request allocates. Reference counting frees nearly
# all of that.
YOUNG = 50_000


def leave_alone() -> None:
    """Freeze what is allocated now and collect rarely; call after a process has imported everything.

    Otherwise the collector traverses all of Django several times per batch: a sixth of a worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
