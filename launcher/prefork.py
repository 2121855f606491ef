"""Starts Python programs by forking the launcher, which shares its imported modules.

Importing Django and Celery again takes a second and some 80 MB per program.
"""

import atexit
import collections.abc
import functools
import gc
import importlib
import itertools
import logging
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
from types import FunctionType, GeneratorType, ModuleType, NoneType
from typing import Any

import django
import pycurl
import redis.utils
from celery.app.backends import by_url
from django.apps import apps
from django.db import connection
from django.urls import get_resolver
from django.utils.module_loading import import_string
from setproctitle import getproctitle, setproctitle

from launcher import memory
from launcher.child import die_with_parent

# Imports of the Procfile's programs, in this order.
MODULES = (
    "config.celery",
    "billiard.popen_fork",
    "billiard.sharedctypes",
    "celery.app.events",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.__main__",
    "celery.app.control",
    "celery.app.log",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.loops",
    "celery.worker.strategy",
    "config.celery_ext.beat_scheduler",
    "config.celery_ext.chord_results",
    "config.celery_ext.event_batching",
    "config.celery_ext.prefork_pool",
    "orders.management.commands.dispatch",
    "payments.gateways.http",
    "config.urls",
    "config.asgi",
    "config.wsgi",
    "channels_redis.pubsub",
    "django.contrib.messages.storage.fallback",
    "django.contrib.sessions.serializers",
    "django.core.cache.backends.redis",
    "psycopg.types.hstore",
    "uvicorn.main",
    "uvicorn.lifespan.off",
    "uvicorn.loops.auto",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "granian.cli",
    "multiprocessing.popen_fork",
    "flower.command",
    "tornado.platform.asyncio",
    # of the sandbox, which nothing imports
    "sqlite3",
    "starlette.applications",
)
# Command lines: the first parse checks types against all subclasses of abstract classes.
COMMANDS = ("celery.bin.worker.worker", "celery.bin.beat.beat", "uvicorn.main.main", "granian.cli.cli")
ABSTRACT: list[type] = [getattr(collections.abc, name) for name in collections.abc.__all__]
CHECKED: tuple[type, ...] = (
    NoneType,
    GeneratorType,
    FunctionType,
    bool,
    int,
    str,
    bytes,
    tuple,
    list,
    set,
    frozenset,
    dict,
    type,
)
RESET_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
POLL_SECONDS = 0.02


def is_supported() -> bool:
    """Whether programs can be forked: system libraries survive it on Linux only."""
    return sys.platform == "linux"


def preload(environment: Mapping[str, str]) -> None:
    """Import the shared modules; starts no thread."""
    getproctitle()  # locates the memory for titles first
    os.environ.update(environment)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    sys.modules["click_repl"] = _without_repl()
    for module in MODULES:
        importlib.import_module(module)
    celery = importlib.import_module("config.celery").app
    celery.loader.init_worker()  # else each program sets up Django again
    celery.finalize()
    warm_up(celery)
    memory.share_arenas()
    # read by the interpreter at its start only
    warnings._processoptions(environment.get("PYTHONWARNINGS", "").split(","))  # type: ignore[attr-defined]
    # The checks above left it full of names that each program would free, a page for each few.
    sys._clear_type_cache()
    # A collection would write to all shared pages.
    gc.collect()
    gc.freeze()


def _without_repl() -> ModuleType:
    """Return a stand-in for what `celery amqp` imports, no program of the Procfile: 6 MB."""
    stand_in = ModuleType("click_repl")
    stand_in.register_repl = lambda _command: None  # type: ignore[attr-defined]
    return stand_in


def warm_up(celery: Any) -> None:
    """Compute what each program would compute and keep for itself; no network, no thread."""
    django.setup = _is_set_up  # again, it would only configure logging again: 3 MB
    get_resolver()._populate()
    for model in apps.get_models():
        model._meta.get_fields()
    connection.get_connection_params()  # psycopg's adapters
    by_url(celery.conf.result_backend, celery.loader)  # reads the metadata of all packages
    # Each connection would parse the metadata of redis: 2 MB.
    redis.utils.get_lib_version = functools.cache(redis.utils.get_lib_version)
    redis.utils.get_lib_version()
    pycurl.Curl().close()  # initialises TLS, 6 MB
    # The first check of a type against an abstract class visits all subclasses of that class: 2 MB.
    for kind, each in itertools.product(ABSTRACT, CHECKED):
        issubclass(each, kind)
    # A change of a level clears the caches of all loggers: side by side they take ten pages, not 350.
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger._cache = {}  # type: ignore[attr-defined] # the stubs leave it out
    for name in COMMANDS:
        command = import_string(name)
        command.make_context(command.name, [], resilient_parsing=True)


def _is_set_up(set_prefix: bool = True) -> None:  # noqa: FBT001, FBT002 - signature of django.setup
    pass


def is_python(argv: Sequence[str]) -> bool:
    """Whether the command, given by path, runs in this interpreter."""
    program = Path(argv[0])
    if program.samefile(sys.executable):
        return True
    with program.open("rb") as file:
        return program.parent == Path(sys.executable).parent and file.read(2) == b"#!"


class Forked:
    """A forked program, with the used part of `subprocess.Popen`."""

    def __init__(self, argv: Sequence[str], *, death_signal: signal.Signals, output: int) -> None:
        """Fork; the process must be single-threaded."""
        self.args = argv
        self.returncode: int | None = None
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _exec_in_child(argv, output=output, set_death_signal=die_with_parent(death_signal, parent))
        with suppress(OSError):  # both sides do it, as either may run first
            os.setpgid(self.pid, 0)

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(POLL_SECONDS)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the program alone, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _exec_in_child(argv: Sequence[str], *, output: int, set_death_signal: Callable[[], None]) -> None:
    """Run the program in the forked child; never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        set_death_signal()
        _detach_from_launcher(output)
        setproctitle(" ".join(argv))
        status = _run(argv)
    except BaseException:  # noqa: BLE001 - the launcher's own code must never resume here
        traceback.print_exc()
    finally:
        os._exit(status)


def _detach_from_launcher(output: int) -> None:
    """Reset signal handlers, close files: an open guardian pipe would keep it waiting."""
    signal.set_wakeup_fd(-1)
    for number in RESET_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _run(argv: Sequence[str]) -> int:
    try:
        _interpret(argv)
    except SystemExit as end:
        return _status_of(end)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001 - like the interpreter's top level
        traceback.print_exc()
        return 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined] # as at the interpreter's exit
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
