"""Keeps Python's garbage collector from looking through the whole program again and again."""

import gc

# Objects made and not yet let go before it looks at the youngest: more than a batch of orders or a request makes.
# What those make is gone with them, nearly always without the collector.
YOUNG = 50_000


def leave_alone() -> None:
    """Have the collector pass over everything that is there now, and look seldom at what comes.

    To be called once a process has imported what it needs. Else it walks over all of Django several times for each
    batch: a sixth of a worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
