"""`.data`: what `make run` keeps between starts."""

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path

# until the guardian of a killed launcher has stopped the engines
CLEANING_SECONDS = 15.0


class DataFolderError(Exception):
    """The folder is not usable."""


class DataFolder:
    """The folder, created if missing. Raises DataFolderError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.stat().st_uid != os.geteuid():
                raise DataFolderError(
                    f"{path} belongs to another account: run as its owner, or set DATA_DIR."
                )
            path.chmod(0o700)
            self._lock = os.open(path / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileExistsError as error:
            raise DataFolderError(
                f"{path} is a file, not a folder: move it away, or set DATA_DIR."
            ) from error
        except OSError as error:
            raise DataFolderError(f"{path} cannot be written ({error.strerror}): set DATA_DIR.") from error

    def lock(self) -> None:
        """Lock the folder until we and our forks end. Raises DataFolderError."""
        deadline = time.monotonic() + CLEANING_SECONDS
        while not self._try_lock():
            holder = os.pread(self._lock, 32, 0).decode().strip()
            if _is_alive(holder) or time.monotonic() > deadline:
                raise DataFolderError(
                    f"Another `make run` (process {holder or 'unknown'}) works in {self.path}: stop it, "
                    "or set DATA_DIR, PORT and FLOWER_PORT to run beside it."
                )
            time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def read_environment(self) -> dict[str, str]:
        """Return the stored environment, without malformed lines."""
        try:
            lines = (self.path / "env").read_text().splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise DataFolderError(f"{self.path / 'env'} cannot be read: {error}.") from error
        pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        return {name.strip(): value for name, value in pairs}

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Replace the file atomically."""
        fresh = self.path / "env.new"
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(
                    "# Written by `make run`; the settings read it when the environment does not say.\n"
                )
                file.writelines(f"{name}={value}\n" for name, value in environment.items())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path / "env")
        except OSError as error:
            raise DataFolderError(f"{self.path} cannot be written: {error.strerror}.") from error

    def _try_lock(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
