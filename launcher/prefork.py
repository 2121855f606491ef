"""Starts Python programs by a fork of the launcher: what all of them import is in memory, and was imported, once.

A program that is executed imports Django and Celery for itself, which takes it a second and some 80 MB. A fork
has both already. It is a process of its own all the same, with a group, output, title and end of its own.
"""

import atexit
import gc
import importlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import django
from setproctitle import getproctitle, setproctitle

from launcher.child import die_with_parent

# What the programs of the Procfile import, in this order.
MODULES = (
    "config.celery",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "django_celery_beat.schedulers",
    "orders.dispatcher",
    "config.urls",
    "config.asgi",
    "uvicorn.main",
    "granian.cli",
    "flower.command",
)
RESET_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
POLL_SECONDS = 0.02


def is_supported() -> bool:
    """Whether programs can be forked here: elsewhere the system's libraries do not survive it."""
    return sys.platform == "linux"


def preload(environment: Mapping[str, str]) -> None:
    """Import what the programs share, with the settings that the environment says. Starts no thread."""
    getproctitle()  # finds where titles go, which a changed environment would hide
    os.environ.update(environment)
    django.setup()
    for module in MODULES:
        importlib.import_module(module)
    importlib.import_module("config.celery").app.loader.import_default_modules()
    # What the interpreter itself reads at its start, and so not in a fork.
    warnings._processoptions(environment.get("PYTHONWARNINGS", "").split(","))  # type: ignore[attr-defined]
    # The collector would write into every page that the forks share.
    gc.collect()
    gc.freeze()


def is_python(argv: Sequence[str]) -> bool:
    """Whether the command, whose program is given by its path, is run by this interpreter."""
    program = Path(argv[0])
    if program.samefile(sys.executable):
        return True
    with program.open("rb") as file:
        return program.parent == Path(sys.executable).parent and file.read(2) == b"#!"


class Forked:
    """A forked program, with as much of the interface of `subprocess.Popen` as a supervisor needs."""

    def __init__(self, argv: Sequence[str], *, death_signal: signal.Signals, output: int) -> None:
        """Fork. Only a process with a single thread may do it."""
        self.args = argv
        self.returncode: int | None = None
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _become(argv, output=output, arrange_death=die_with_parent(death_signal, parent))
        with suppress(OSError):  # the child does it too, and one of us is first
            os.setpgid(self.pid, 0)

    def poll(self) -> int | None:
        """Return the status once the program has ended, as `subprocess` counts it."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the status; raises subprocess.TimeoutExpired if there is none after `timeout` seconds."""
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(POLL_SECONDS)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it to the program alone, if that has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _become(argv: Sequence[str], *, output: int, arrange_death: Callable[[], None]) -> None:
    """Be the program, from here to its end; never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        arrange_death()
        _detach_from_launcher(output)
        setproctitle(" ".join(argv))
        status = _run(argv)
    except BaseException:  # noqa: BLE001 - whatever it is, the launcher's own code must not go on here
        traceback.print_exc()
    finally:
        os._exit(status)


def _detach_from_launcher(output: int) -> None:
    """Take over nothing but memory: no signal handlers, and no files, one of which tells the guardian we live."""
    signal.set_wakeup_fd(-1)
    for number in RESET_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _run(argv: Sequence[str]) -> int:
    """Run a program as its own process would, and return its status."""
    try:
        _interpret(argv)
    except SystemExit as end:
        return _status_of(end)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 - the interpreter's last resort, too
        traceback.print_exc()
        return 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined] # what the interpreter does at its end
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _interpret(argv: Sequence[str]) -> None:
    words = list(argv[1:]) if Path(argv[0]).samefile(sys.executable) else list(argv)
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).resolve().parent))
        runpy.run_path(words[0], run_name="__main__")


def _status_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
    return 1
