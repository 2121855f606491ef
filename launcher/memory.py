"""What the launcher does for its memory, and for that of the programs that it forks."""

import ctypes
import itertools
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# of malloc.h
M_ARENA_MAX = -8
ARENAS = 2
# of mman.h
MADV_DONTNEED = 4
# of CPython's obmalloc.c
ALIGNMENT = 16
LARGEST_BLOCK = 512
POOL_BYTES = 16_384
POOL_HEADER_BYTES = 48
MOST_POOLS = 100  # far more than are free after the imports
EMPTY_BYTES = 33  # of a `bytes` object
SMAPS = Path("/proc/self/smaps")
MAPPING = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?P<rights>\S{4}) \S+ \S+ [1-9]\d* +/")

_filling: list[object] = []


def share_arenas() -> None:
    """Have the threads of a program share two of malloc's arenas: under Python's lock they seldom allocate at once."""
    with suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def fill_pools() -> None:
    """Fill what is free in the pools of Python's allocator: programs would allocate there, and copy page after page.

    With another allocator (PYTHONMALLOC) it does nothing.
    """
    for size in range(ALIGNMENT, LARGEST_BLOCK + 1, ALIGNMENT):
        if not _fill(size):
            _filling.clear()
            return


def _fill(size: int) -> bool:
    """Fill the pools of blocks of this size. Return whether an empty one was reached."""
    in_pool = (POOL_BYTES - POOL_HEADER_BYTES) // size
    for _ in range(MOST_POOLS):
        # a list that grows would take blocks itself
        blocks = list(deque(map(_block, itertools.repeat(size, 2 * in_pool))))
        start = _empty_pool(blocks, size, in_pool)
        _filling.extend(blocks[:start])
        if start is not None:
            return True
    return False


def _block(size: int) -> object:
    """Return an object of this size, a multiple of 16 bytes."""
    if size > EMPTY_BYTES:
        return bytes(size - EMPTY_BYTES)
    return object() if size == ALIGNMENT else complex(size)


def _empty_pool(blocks: list[object], size: int, in_pool: int) -> int | None:
    """Return the first of as many blocks in sequence as an empty pool holds: no other pool has room."""
    start = 0
    for place, (before, block) in enumerate(itertools.pairwise(blocks), 1):
        if id(block) != id(before) + size:
            start = place
        elif place - start + 1 == in_pool:
            return start
    return None


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
