"""`make engines`: PostgreSQL and Valkey of the data folder without our processes, for backup, restore and repair."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from launcher.data_folder import DataFolder, DataFolderError
from launcher.engines import Engine, EngineError, running
from launcher.run import (
    BASE_DIR,
    RunError,
    Stopped,
    complete_environment,
    embedded_engines,
    say,
    stop_on_signals,
)


def data_folder() -> DataFolder:
    """Return the data folder of this installation. Raises DataFolderError."""
    return DataFolder(Path(os.environ.get("DATA_DIR") or BASE_DIR / ".data").resolve())


def environment_of(folder: DataFolder) -> dict[str, str]:
    """Return the variables of the last start, or new ones, overridden by ours. Raises RunError."""
    kept = folder.read_environment() or complete_environment(folder)
    return kept | os.environ | {"DATA_DIR": str(folder.path)}


@contextlib.contextmanager
def engines_of(folder: DataFolder, environment: dict[str, str]) -> Iterator[list[Engine]]:
    """Run those of our engines that do not run yet; yield them. Raises EngineError, DataFolderError."""
    idle = [engine for engine in embedded_engines(folder, environment) if not engine.is_ready()]
    if idle:
        folder.lock()
    with running(*idle):
        for engine in idle:
            if hasattr(engine, "create_database"):
                engine.create_database()
        yield idle


def main() -> int:
    """Run the engines until a stop signal; return the exit status."""
    stop_on_signals()
    try:
        folder = data_folder()
        environment = environment_of(folder)
        with engines_of(folder, environment) as engines:
            if not engines:
                say("Nothing to start: the engines run already, or DATABASE_URL and REDIS_URL name your own.")
                return 0
            say(f"Running: {', '.join(engine.name for engine in engines)}. Press Ctrl-C to stop.")
            say(f"Their addresses are in {folder.path / 'env'}; `.venv/bin/python manage.py …` finds them.")
            signal.pause()
    except (RunError, DataFolderError, EngineError) as error:
        print(f"Cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except Stopped:
        say("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
