"""Bodies of many lines: read and answered piece by piece, whatever their length, in the memory of one piece."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator

PIECE_BYTES = 64 * 1024


def lines_of(read: Callable[[int], bytes], *, longest: int) -> Iterator[bytes | None]:
    """Yield the lines of a body, without their ends; None in place of one of more than `longest` bytes."""
    rest, is_too_long = b"", False
    while piece := read(PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield None if is_too_long or len(line) > longest else line
            is_too_long = False
        if len(rest) > longest:
            rest, is_too_long = b"", True
    if rest or is_too_long:
        yield None if is_too_long else rest


class Spool:
    """What one thread writes and another reads meanwhile: in a file, so that neither waits for the other.

    A client that sends all of its body before it reads any of the answer would otherwise wait for us to
    read on, while we wait for it to read.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as this does
        self._written, self._is_complete, self.is_abandoned = 0, False, False
        self._changed = threading.Condition()

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        with self._changed:
            self._written += len(data)
            self._changed.notify()

    def complete(self) -> None:
        """Say that nothing follows."""
        with self._changed:
            self._is_complete = True
            self._changed.notify()

    def __iter__(self) -> Iterator[bytes]:
        """Yield what was written, as it is written, until it is complete. `is_abandoned` tells if nobody reads on."""
        position = 0
        try:
            while True:
                if not self._grown_beyond(position):
                    return
                piece = os.pread(self._file.fileno(), PIECE_BYTES, position)
                position += len(piece)
                yield piece
        finally:
            self.is_abandoned = True

    def _grown_beyond(self, position: int) -> bool:
        """Wait until there is more; False once there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._written > position or self._is_complete)
            return self._written > position
