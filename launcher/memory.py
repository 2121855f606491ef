"""What the launcher does for its memory, and for that of the programs that it forks."""

import ctypes
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# of malloc.h
M_ARENA_MAX = -8
ARENAS = 2
# of mman.h
MADV_DONTNEED = 4
SMAPS = Path("/proc/self/smaps")
MAPPING = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?P<rights>\S{4}) \S+ \S+ [1-9]\d* +/")


def share_arenas() -> None:
    """Have the threads of a program share two of malloc's arenas: under Python's lock they seldom allocate at once."""
    with suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def unmap_files() -> None:
    """Unmap the pages of files that were read at the start; one that is needed again is mapped again.

    Programs do not inherit them.
    """
    with suppress(AttributeError, OSError):  # not Linux
        madvise = ctypes.CDLL(None).madvise
        for start, size in list(_unchanged_files(SMAPS.read_text())):
            madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_DONTNEED)


def _unchanged_files(smaps: str) -> Iterator[tuple[int, int]]:
    """Return address and size of each read-only mapping without a page of its own, such as one that was relocated."""
    for mapping in re.split(r"\n(?=[0-9a-f]+-)", smaps):
        found = MAPPING.match(mapping)
        if found and "w" not in found["rights"] and re.search(r"^Anonymous: +0 kB$", mapping, re.MULTILINE):
            start = int(found["start"], 16)
            yield start, int(found["end"], 16) - start
