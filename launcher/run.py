"""`make run`: the whole system from nothing.

Secrets and ports, engines, migrations, the demo, then every process of the Procfile under a supervisor, and a
table of addresses once it answers.
"""

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psycopg
import redis
from django.core.exceptions import ImproperlyConfigured

from config.environment import database_url, read_secret_files, redis_url, weakness_of_key
from launcher import prefork
from launcher.child import Process, start_child, stop_child
from launcher.console import Console, wants_colour
from launcher.data_folder import DataFolder, DataFolderError
from launcher.engines import Engine, EngineError, free_port, is_free, start_engine, stop_engine
from launcher.engines.postgres import Postgres
from launcher.engines.valkey import Valkey
from launcher.guardian import Guardian
from launcher.procfile import PROCFILE, Entry, ProcfileError, expand, parse
from launcher.supervisor import Program, Supervisor

BASE_DIR = Path(__file__).resolve().parent.parent
PUBLIC_PORTS = {"PORT": 8000, "FLOWER_PORT": 5555}
INNER_PORTS = ("WEB_PORT", "LIVE_PORT", "SANDBOX_PORT")
PASSED_ON = (
    "ALLOW_SANDBOX",
    "DEFAULT_PAYMENT_TOKEN",
    "PAYMENT_API_URL",
    "INVENTORY_API_URL",
    "EMAIL_SERVICE_URL",
    "PAYMENT_GATEWAY",
    "SANDBOX_URL",
    "DATABASE_PASSWORD",
    "DATABASE_POOLER",
    "REDIS_PASSWORD",
    "TRUSTED_PROXIES",
)
LOOPBACK = "127.0.0.1"
ANY_PORT = 0
LATE_SECONDS = 60.0
# Celery warns at length of root, with pickled messages in mind (ours are JSON), and at each lost connection of
# a default that will change (we set it).
QUIET = "ignore:::celery.platforms,ignore:::celery.worker.consumer.consumer"
HEALTH_SECONDS = 2.5  # /health looks at every part, and takes no longer than this
# What it is for, its name, and where its password stands; `manage.py demo` makes them.
DEMO_ACCOUNTS = (
    ("admin", "admin", "DEMO_ADMIN_PASSWORD"),
    ("operator", "operator", "DEMO_OPERATOR_PASSWORD"),
    ("customer", "demo", "DEMO_CUSTOMER_PASSWORD"),
)


class RunError(Exception):
    """The system cannot start; the message is one sentence that says why and what to do."""


class Stopped(BaseException):
    """The user asked to stop while we were still starting."""


def main() -> int:
    """The launcher's exit status: 0 after a wanted stop, 1 when the system could not start."""
    stop_on_signals()
    try:
        folder = DataFolder(Path(os.environ.get("DATA_DIR") or BASE_DIR / ".data").resolve())
        folder.lock()
        with Guardian() as guardian:
            launch(folder, guardian)
    except (RunError, DataFolderError, EngineError, ProcfileError) as error:
        print(f"Cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except Stopped:
        say("Stopped.")
    return 0


def launch(folder: DataFolder, guardian: Guardian) -> None:
    """Start everything in `folder` and return when it has been stopped."""
    try:
        read_secret_files()
    except ImproperlyConfigured as error:
        raise RunError(str(error)) from error
    environment = complete_environment(folder)
    entries = parse(PROCFILE.read_text()) + stream_entries(environment)
    check_procfile(entries, environment)
    engines = embedded_engines(folder, environment)
    check_servers(environment, engines)
    with contextlib.ExitStack() as stack:
        running = [(engine, stack.enter_context(started(engine, guardian))) for engine in engines]
        preload(environment)
        prepare(engines, environment, guardian)
        supervisor = supervise(entries, engines, environment, guardian)
        for engine, process in running:
            supervisor.attach(engine.name, process)
        supervisor.run()


# --- what the processes are told --------------------------------------------------------------------------


def complete_environment(folder: DataFolder) -> dict[str, str]:
    """Our environment, what `.data/env` kept from earlier starts, and whatever is still missing, made up now.

    The result is kept for the next start, and for `manage.py` beside this one.
    """
    kept = folder.read_environment()
    made_up = _secrets(kept) | _engine_addresses(kept) | _inner_ports(kept)
    mode = {"DEBUG": "1", "DEMO": "1", "HOST": LOOPBACK, "HTTPS": "0"}
    public = {name: str(default) for name, default in PUBLIC_PORTS.items()}
    ours = made_up | mode | public
    ours["DATABASE_URL"], ours["REDIS_URL"] = made_up["EMBEDDED_DATABASE_URL"], made_up["EMBEDDED_REDIS_URL"]
    ours |= {name: os.environ[name] for name in ours if os.environ.get(name)}
    if os.environ.get("DEBUG") in ("0", "false", "False", "no"):
        ours["DEMO"] = os.environ.get("DEMO") or "0"
    # For `manage.py` beside the system: without them its settings would be others, or refused.
    ours |= {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    _check_public_addresses(ours)
    ours["ALLOWED_HOSTS"] = os.environ.get("ALLOWED_HOSTS") or _host_names(ours["HOST"])
    ours["FLOWER_URL"] = (
        os.environ.get("FLOWER_URL") or f"http://{_shown(ours['HOST'])}:{ours['FLOWER_PORT']}"
    )
    ours["PUBLIC_URL"] = os.environ.get("PUBLIC_URL") or f"http://{_shown(ours['HOST'])}:{ours['PORT']}"
    # The sandbox sends webhooks only where SANDBOX_WEBHOOK_URL says; the secret is there for whoever sets it.
    ours["SANDBOX_WEBHOOK_SECRET"] = ours["PAYMENT_WEBHOOK_SECRETS"].partition(",")[0]
    ours["SANDBOX_DATA"] = os.environ.get("SANDBOX_DATA") or str(folder.path / "sandbox")
    folder.write_environment(ours)
    Path(ours["SANDBOX_DATA"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.environ | ours | _process_environment(folder)


def _secrets(kept: dict[str, str]) -> dict[str, str]:
    made = {"SECRET_KEY": secrets.token_urlsafe(50), "FLOWER_BASIC_AUTH": f"admin:{secrets.token_urlsafe(9)}"}
    made["PAYMENT_WEBHOOK_SECRETS"] = secrets.token_urlsafe(32)
    made |= {variable: secrets.token_urlsafe(9) for _, _, variable in DEMO_ACCOUNTS}
    if weakness_of_key(kept.get("SECRET_KEY", "")):  # one that was given once, and refused
        kept = kept | {"SECRET_KEY": ""}
    return {name: kept.get(name) or value for name, value in made.items()}


def _engine_addresses(kept: dict[str, str]) -> dict[str, str]:
    """Where our own engines listen: the same place as last time, unless somebody else is there now."""
    places = {"EMBEDDED_DATABASE_URL": Postgres, "EMBEDDED_REDIS_URL": Valkey}
    return {name: _engine_address(kept.get(name), kind) for name, kind in places.items()}


def _engine_address(kept: str | None, kind: type[Postgres] | type[Valkey]) -> str:
    nowhere = Path("/")
    if not kept:
        return kind(folder=nowhere, port=free_port(), password=secrets.token_urlsafe(24)).url
    engine = kind.at(kept, folder=nowhere)
    if is_free(engine.port):
        return engine.url
    return kind(folder=nowhere, port=free_port(), password=engine.password).url


def _inner_ports(kept: dict[str, str]) -> dict[str, str]:
    return {name: _free_or_new(kept.get(name)) for name in INNER_PORTS}


def _free_or_new(kept: str | None) -> str:
    return kept if kept and kept.isdigit() and is_free(int(kept)) else str(free_port())


def _check_public_addresses(environment: dict[str, str]) -> None:
    """Raises RunError for a host that is not ours, and a port that is no port, taken, or given twice."""
    if not is_free(ANY_PORT, environment["HOST"]):
        raise RunError(
            f"HOST={environment['HOST']} is no address of this machine; leave it out or use 0.0.0.0."
        )
    for name, default in PUBLIC_PORTS.items():
        port = environment[name]
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise RunError(f"{name} must be a port number such as {default}, not {port!r}.")
        if not is_free(int(port), environment["HOST"]):
            raise RunError(f"Port {port} is taken; choose another one: make run {name}={free_port()}")
    if environment["PORT"] == environment["FLOWER_PORT"]:
        raise RunError("PORT and FLOWER_PORT must differ.")


def _host_names(host: str) -> str:
    """What ALLOWED_HOSTS is by default: this machine's names, as far as the world can reach it under them."""
    local = ["localhost", LOOPBACK, "[::1]"]
    return ",".join(local if host == LOOPBACK else [*local, host, os.uname().nodename])


def _process_environment(folder: DataFolder) -> dict[str, str]:
    programs = Path(sys.executable).parent
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS") or QUIET,
        "DATA_DIR": str(folder.path),
        # An account without a home must not keep a program from starting.
        "HOME": os.environ.get("HOME") or str(folder.path),
        "XDG_CONFIG_HOME": str(folder.path / "config"),
        "XDG_DATA_HOME": str(folder.path / "share"),
    }


# --- engines ----------------------------------------------------------------------------------------------


def embedded_engines(folder: DataFolder, environment: dict[str, str]) -> list[Engine]:
    """The engines to run ourselves: those for which the user named no server."""
    engines: list[Engine] = []
    if not os.environ.get("DATABASE_URL"):
        engines.append(Postgres.at(environment["DATABASE_URL"], folder=folder.path / "postgres"))
    if not os.environ.get("REDIS_URL"):
        engines.append(Valkey.at(environment["REDIS_URL"], folder=folder.path / "valkey"))
    return engines


def check_servers(environment: dict[str, str], engines: list[Engine]) -> None:
    """Raises RunError when a server that the user named does not answer."""
    ours = {engine.name for engine in engines}
    try:
        if Postgres.name not in ours:
            address = database_url(
                environment["DATABASE_URL"], password=environment.get("DATABASE_PASSWORD", "")
            )
            psycopg.connect(address, connect_timeout=5).close()
        if Valkey.name not in ours:
            address = redis_url(environment["REDIS_URL"], 0, password=environment.get("REDIS_PASSWORD", ""))
            with redis.Redis.from_url(address, socket_connect_timeout=5) as client:
                client.ping()
    except psycopg.Error as error:
        raise RunError(f"DATABASE_URL does not lead to a PostgreSQL that lets us in: {error}") from error
    except (redis.RedisError, ValueError) as error:
        raise RunError(f"REDIS_URL does not lead to a Redis or Valkey that lets us in: {error}") from error


@contextlib.contextmanager
def started(engine: Engine, guardian: Guardian) -> Iterator[subprocess.Popen[bytes]]:
    say(f"Starting {engine.name} ...")
    process = start_engine(engine)
    guardian.watch(process.pid, stop_signal=engine.stop_signal)
    try:
        yield process
    finally:
        # Usually the supervisor has stopped it by now, and its number may belong to somebody else.
        if process.returncode is None:
            stop_engine(engine, process)
        guardian.forget(process.pid)


def preload(environment: dict[str, str]) -> None:
    """Import what the processes share, where they can be forked. Raises RunError for settings that are none."""
    if not prefork.is_supported():
        return
    try:
        prefork.preload(environment)
    except ImproperlyConfigured as error:
        raise RunError(str(error)) from error


def prepare(engines: list[Engine], environment: dict[str, str], guardian: Guardian) -> None:
    """Migrations, static files and the demo. Raises RunError when they fail; the screen says why then."""
    for engine in engines:
        if isinstance(engine, Postgres):
            engine.create_database()
    say("Preparing the database ...")
    process = start_python([sys.executable, "-m", "config.prepare"], environment, sys.stdout.fileno())
    guardian.watch(process.pid)
    try:
        status = process.wait()
    finally:
        stop_child(process, stop_signal=signal.SIGTERM, timeout=5)
        guardian.forget(process.pid)
    if status:
        raise RunError("the database could not be prepared; the lines above say why.")


# --- processes --------------------------------------------------------------------------------------------


def stream_entries(environment: dict[str, str]) -> list[Entry]:
    """Return the relay of the event stream, where there is a stream."""
    return [Entry("relay", "python manage.py relay")] if environment.get("NATS_URL") else []


def check_procfile(entries: list[Entry], environment: dict[str, str]) -> None:
    """Raises ProcfileError or RunError for a process that could not be started."""
    for entry in entries:
        argv, _ = expand(entry.command, environment)
        if not shutil.which(argv[0], path=environment["PATH"]):
            raise RunError(
                f"{argv[0]}, which {entry.name} needs, is not installed: delete .venv and run again."
            )


def supervise(
    entries: list[Entry], engines: list[Engine], environment: dict[str, str], guardian: Guardian
) -> Supervisor:
    """A supervisor over engines and processes that prints the table of addresses once all is ready."""
    programs = [engine_program(engine) for engine in engines]
    programs += [process_program(entry, environment) for entry in entries]
    width = max(len(program.name) for program in programs)
    console = Console(sys.stdout.fileno(), colour=wants_colour(), width=width)
    say(f"Starting {len(entries)} processes ...")
    return Supervisor(programs, console, guardian, on_tick=Announcement(environment, console))


def engine_program(engine: Engine) -> Program:
    def restart(_output: int) -> subprocess.Popen[bytes]:
        engine.prepare()
        with engine.log.open("ab") as log:
            return start_child(
                engine.argv(), death_signal=engine.stop_signal, output=log.fileno(), account=engine.account()
            )

    return Program(name=engine.name, launch=restart, stop_signal=engine.stop_signal, is_engine=True)


def process_program(entry: Entry, environment: dict[str, str]) -> Program:
    argv, assignments = expand(entry.command, environment)
    variables = environment | assignments
    argv[0] = shutil.which(argv[0], path=variables["PATH"]) or argv[0]

    # What is set for one process alone comes too late for settings that have been read.
    can_be_forked = not assignments and prefork.is_python(argv)

    def start(output: int) -> Process:
        if can_be_forked:
            return start_python(argv, variables, output)
        return start_child(argv, death_signal=signal.SIGKILL, env=variables, cwd=BASE_DIR, output=output)

    return Program(name=entry.name, launch=start)


def start_python(argv: list[str], environment: dict[str, str], output: int) -> Process:
    """Start a Python program in our folder: by a fork where that is possible, which saves time and memory."""
    if prefork.is_supported():
        return prefork.Forked(argv, death_signal=signal.SIGKILL, output=output)
    return start_child(argv, death_signal=signal.SIGKILL, env=environment, cwd=BASE_DIR, output=output)


class Announcement:
    """Asks, at each tick, whether the system is ready; says so once, with its addresses and logins."""

    def __init__(self, environment: dict[str, str], console: Console) -> None:
        self._environment = environment
        self._console = console
        self._started_at = time.monotonic()
        self._is_done = False
        self._is_late = False

    def __call__(self) -> None:
        if self._is_done:
            return
        host, port = _reachable(self._environment["HOST"]), int(self._environment["PORT"])
        reason = _why_not_ready(host, port)
        waited = time.monotonic() - self._started_at
        if reason is None:
            self._is_done = True
            self._console.text(table(self._environment))
        elif waited > LATE_SECONDS and not self._is_late:
            self._is_late = True
            self._console.text(f"Not ready after {waited:.0f} s ({reason}); still trying.")


def _why_not_ready(host: str, port: int) -> str | None:
    """None when /health says that orders can be worked off, otherwise what it does instead."""
    connection = http.client.HTTPConnection(host, port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"/health: {error}"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"/health answers {status}"


def table(environment: dict[str, str]) -> str:
    """Addresses and logins, for a person."""
    base = f"http://{_shown(environment['HOST'])}:{environment['PORT']}"
    flower_user, _, flower_password = environment["FLOWER_BASIC_AUTH"].partition(":")
    rows = [
        ("Live board", f"{base}/"),
        ("API", f"{base}/api"),
        ("Swagger", f"{base}/swagger"),
        ("Admin", f"{base}/admin/"),
        ("Health", f"{base}/health"),
        ("Flower", f"{environment['FLOWER_URL']}   {flower_user} / {flower_password}"),
    ]
    if environment["DEMO"] == "1":
        rows += [
            (f"Login {role}", f"{name} / {environment[variable]}") for role, name, variable in DEMO_ACCOUNTS
        ]
    else:
        # Outside the demo there is no account until one is made: the demo's are switched off.
        rows.append(("First login", f"{_manage(environment)} createsuperuser"))
    lines = [f"  {title:<16}{value}" for title, value in rows]
    return "\n".join(["", "Ready. Ctrl-C stops all of it.", "", *lines, ""])


def _manage(environment: dict[str, str]) -> str:
    """Return how `manage.py` is called beside this system: it finds the default folder's settings by itself."""
    folder = environment["DATA_DIR"]
    elsewhere = "" if Path(folder) == BASE_DIR / ".data" else f"DATA_DIR={folder} "
    return f"{elsewhere}{os.path.relpath(sys.executable)} manage.py"


def _reachable(host: str) -> str:
    return {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def _shown(host: str) -> str:
    place = _reachable(host)
    return "localhost" if place in (LOOPBACK, "::1") else place


def say(text: str) -> None:
    """One line of progress."""
    with contextlib.suppress(OSError):  # nobody has to listen
        print(text, flush=True)  # noqa: T201


def stop_on_signals() -> None:
    """Raise Stopped when the user asks to stop, until a supervisor listens by itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
