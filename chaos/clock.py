"""A clock that can be shifted per process. Needs Linux and a C compiler."""

import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

from chaos.arena import Skipped

SOURCE = Path(__file__).with_name("clock.c")
FEW_SECONDS = 60.0


class Clock:
    """The clock of processes started with `variables`."""

    def __init__(self, folder: Path) -> None:
        """Raises Skipped where it cannot be built or used."""
        compiler = shutil.which("cc")
        if compiler is None or not sys.platform.startswith("linux"):
            raise Skipped("setting a process's clock needs Linux and a C compiler")
        library, self._file = folder / "clock.so", folder / "clock"
        argv = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(argv, check=True, capture_output=True)
        self.variables = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(self._file)}
        self._file.write_bytes(struct.pack("=q", 3600))
        if abs(self._seen() - time.time() - 3600) > FEW_SECONDS:
            raise Skipped("processes do not take the time from where we could change it")
        self.shift(0)

    def shift(self, seconds: int) -> None:
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", seconds))

    def _seen(self) -> float:
        code = "import datetime; print(datetime.datetime.now().timestamp())"
        result = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | self.variables, capture_output=True, check=True
        )
        return float(result.stdout)
