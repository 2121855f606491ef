"""Streaming of NDJSON in constant memory."""

import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator

PIECE_BYTES = 64 * 1024
SLOW_PIECE_BYTES = 4096
POLL_SECONDS = 1.0


def lines_of(read: Callable[[int], bytes], *, longest: int) -> Iterator[bytes | None]:
    """Yield a body's lines; None for one beyond `longest` bytes."""
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


class TooSlow(Exception):
    """The body is too slow."""


class Pace:
    """Minimum rate of a body while its reader waits.

    Pieces are small, each with its own deadline: the web server only returns complete ones.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        *,
        bytes_per_second: float,
        at_least_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._clock = read, clock
        needed = SLOW_PIECE_BYTES / bytes_per_second if bytes_per_second else math.inf
        self._allowed = max(at_least_seconds, needed)
        self._waits_since: float | None = None

    def read(self, size: int) -> bytes:
        """Read a small piece. Raises TooSlow."""
        self._waits_since = self._clock()
        piece = self._read(min(size, SLOW_PIECE_BYTES))
        if self.is_too_slow():
            raise TooSlow
        self._waits_since = None
        return piece

    def is_too_slow(self) -> bool:
        """Whether the reader waits too long, for other threads. Final once True."""
        since = self._waits_since
        return since is not None and self._clock() - since > self._allowed


class Spool:
    """A byte stream between two threads, buffered in a ring file.

    Without it, a client that sends its whole body before it reads any answer would deadlock with the writer.
    """

    def __init__(self, *, size: int) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the spool
        self._size = size
        self._written, self._read, self._is_complete, self.is_abandoned = 0, 0, False, False
        self._changed = threading.Condition()

    def write(self, data: bytes) -> None:
        """Append, waiting for room; a no-op once abandoned."""
        rest = memoryview(data)
        while rest and (room := self._await_room()):
            at = self._written % self._size
            count = os.pwrite(self._file.fileno(), rest[: min(room, self._size - at)], at)
            rest = rest[count:]
            with self._changed:
                self._written += count
                self._changed.notify_all()

    def _await_room(self) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._written - self._read < self._size or self.is_abandoned)
            return 0 if self.is_abandoned else self._size - (self._written - self._read)

    def complete(self) -> None:
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()

    def pieces(self, *, is_over: Callable[[], bool], look_seconds: float) -> Generator[bytes]:
        """Yield data as it is written, until complete, or `is_over`, polled every `look_seconds`."""
        try:
            while True:
                if available := self._await_more(look_seconds):
                    yield self._next_piece(available)
                elif self._is_finished() or is_over():
                    return
        finally:
            with self._changed:
                self.is_abandoned = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces(is_over=lambda: False, look_seconds=POLL_SECONDS)

    def _next_piece(self, available: int) -> bytes:
        at = self._read % self._size
        piece = os.pread(self._file.fileno(), min(PIECE_BYTES, available, self._size - at), at)
        with self._changed:
            self._read += len(piece)
            self._changed.notify_all()
        return piece

    def _is_finished(self) -> bool:
        with self._changed:
            return self._is_complete and self._written == self._read

    def _await_more(self, seconds: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._written > self._read or self._is_complete, seconds)
            return self._written - self._read
