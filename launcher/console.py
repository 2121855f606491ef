"""The launcher's output: lines of all processes, with their names."""

import itertools
import os
import sys

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
LIMIT_BYTES = 1 << 20
# never blocks on a writable pipe (PIPE_BUF)
CHUNK_BYTES = 4096


class Console:
    """Buffers lines, and drops them when full: a stalled reader must never block an order."""

    def __init__(self, output: int, *, colour: bool, width: int = 0) -> None:
        self.output = output
        self._colour = colour
        self._width = width
        self._colours = itertools.cycle(COLOURS)
        self._colour_of: dict[str, int] = {}
        self._waiting = bytearray()
        self._dropped = 0
        self.closed = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def line(self, name: str, text: str) -> None:
        self._put(f"{self._prefix(name)} {text}\n".encode(errors="replace"))

    def text(self, text: str) -> None:
        """Queue a line of the launcher; never dropped."""
        self._put(f"{text}\n".encode(errors="replace"), limit=2 * LIMIT_BYTES)

    def write(self) -> None:
        if not self._waiting:
            return
        try:
            written = os.write(self.output, self._waiting[:CHUNK_BYTES])
        except OSError:
            # no reader is left: continue without output
            self.closed = True
            written = len(self._waiting)
        del self._waiting[:written]

    def _put(self, line: bytes, *, limit: int = LIMIT_BYTES) -> None:
        if self.closed:
            return
        if len(self._waiting) + len(line) > limit:
            self._dropped += 1
            return
        if self._dropped:
            self._waiting += f"... {self._dropped} lines were dropped: the output was not read ...\n".encode()
            self._dropped = 0
        self._waiting += line

    def _prefix(self, name: str) -> str:
        padded = f"{name:<{self._width}} |"
        if not self._colour:
            return padded
        if name not in self._colour_of:
            self._colour_of[name] = next(self._colours)
        return f"\033[{self._colour_of[name]}m{padded}\033[0m"


def wants_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
