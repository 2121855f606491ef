"""Planted defects: mistakes that systems like this one are known to make, one at a time.

They show that the tests, the audit and the simulation can fail. `planted(name)` breaks the code for the length of
a block, `plant(name)` for the life of a process; real processes do the latter at start, with PLANTED_FAULT=name and
DEBUG=1 (`config.apps`). `FAULTS` lists all names.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from tests.planted.defects import DEFECTS

FAULTS = tuple(DEFECTS)


class Refused(Exception):
    """Defects are refused where real orders may be."""


def plant(name: str) -> None:
    """Break this process for good; refused unless DEBUG is on."""
    if not settings.DEBUG:
        raise Refused("PLANTED_FAULT is refused unless DEBUG=1.")
    for owner, attribute, wrong in DEFECTS[name]():
        getattr(owner, attribute)  # what is not there would be planted in vain
        setattr(owner, attribute, wrong)


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Break the code inside the block; without a name, leave it as it is."""
    saved: list[tuple[Any, str, Any]] = []
    try:
        for owner, attribute, wrong in DEFECTS[name]() if name else ():
            saved.append((owner, attribute, getattr(owner, attribute)))
            setattr(owner, attribute, wrong)
        yield
    finally:
        for owner, attribute, right in reversed(saved):
            setattr(owner, attribute, right)
