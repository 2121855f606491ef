"""A small file system for an engine, in a mount namespace. Needs root and Linux."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from chaos.arena import Skipped

MEGABYTE = 1024 * 1024


class SmallDisk:
    """A nearly full copy of a folder; commands prefixed with `entry` see it in its place."""

    def __init__(self, folder: Path, *, room: int) -> None:
        """`room` is in megabytes. Raises Skipped."""
        self._folder = folder.resolve()
        size = _size(self._folder) // MEGABYTE + room
        script = (
            f"mount -t tmpfs -o size={size}m,mode=0700 chaos {self._folder} && echo && exec sleep infinity"
        )
        try:
            self._holder = subprocess.Popen(
                ["unshare", "--mount", "--", "sh", "-c", script],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            raise Skipped("a file system of its own needs mount namespaces") from None
        assert self._holder.stdout is not None
        if not self._holder.stdout.readline():
            raise Skipped("a file system of its own needs root and mount namespaces")
        self._inside = Path(f"/proc/{self._holder.pid}/root{self._folder}")
        _copy(self._folder, self._inside)

    @property
    def entry(self) -> tuple[str, ...]:
        return ("nsenter", f"--target={self._holder.pid}", "--mount", "--")

    def fill(self) -> None:
        with (self._inside / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
            except OSError:
                time.sleep(0)

    def empty(self) -> None:
        (self._inside / "filler").unlink(missing_ok=True)

    def give_back(self) -> None:
        """Copy the contents to the original folder; its users must have ended."""
        for old in self._folder.iterdir():  # keep the folder itself: it is the mount point
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        _copy(self._inside, self._folder)

    def end(self) -> None:
        self._holder.kill()
        self._holder.wait()


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*"))


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    for file in (source, *source.rglob("*")):
        status = file.lstat()
        os.chown(target / file.relative_to(source), status.st_uid, status.st_gid, follow_symlinks=False)
