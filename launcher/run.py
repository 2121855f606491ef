"""`make run`: the whole system from an empty folder.

Creates secrets and ports, starts engines, migrates, loads the demo, supervises the Procfile's processes, and prints
the addresses once /health is fine.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psycopg
import redis
from django.core.exceptions import ImproperlyConfigured

from config.environment import database_url, read_secret_files, redis_url, weakness_of_key
from launcher import memory, prefork
from launcher.announcement import DEMO_ACCOUNTS, LOOPBACK, Announcement, shown
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
    "PAYMENT_GATEWAYS",
    "PAYMENT_PROVIDERS",
    "PAYMENT_API_KEY",
    "STRIPE_API_KEY",
    "STRIPE_API_URL",
    "STRIPE_WEBHOOK_SECRETS",
    "STRIPE_PAYMENT_METHOD_TYPES",
    "STRIPE_RETURN_URL",
    "SANDBOX_URL",
    "DATABASE_PASSWORD",
    "DATABASE_POOLER",
    "REDIS_PASSWORD",
    "TRUSTED_PROXIES",
)
ANY_PORT = 0
# Celery's warnings about root with pickle (we use JSON), and about a changing default (we set it).
QUIET = "ignore:::celery.platforms,ignore:::celery.worker.consumer.consumer"


class RunError(Exception):
    """The system cannot start; the message has the cause and the fix."""


class Stopped(BaseException):
    """A stop signal during the start."""


def main() -> int:
    """Return the exit status: 0 after a requested stop, 1 when the system could not start."""
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


# --- environment ------------------------------------------------------------------------------------------


def complete_environment(folder: DataFolder) -> dict[str, str]:
    """Return our environment, completed from `.data/env` and by generated values.

    Writes it back, for the next start and for `manage.py`.
    """
    kept = folder.read_environment()
    generated = _secrets(kept) | _engine_addresses(kept) | _inner_ports(kept)
    mode = {"DEBUG": "1", "DEMO": "1", "HOST": LOOPBACK, "HTTPS": "0"}
    public = {name: str(default) for name, default in PUBLIC_PORTS.items()}
    ours = generated | mode | public
    ours["DATABASE_URL"], ours["REDIS_URL"] = (
        generated["EMBEDDED_DATABASE_URL"],
        generated["EMBEDDED_REDIS_URL"],
    )
    ours |= {name: os.environ[name] for name in ours if os.environ.get(name)}
    if os.environ.get("DEBUG") in ("0", "false", "False", "no"):
        ours["DEMO"] = os.environ.get("DEMO") or "0"
    # `manage.py` needs the same settings.
    ours |= {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    _check_public_addresses(ours)
    ours["ALLOWED_HOSTS"] = os.environ.get("ALLOWED_HOSTS") or _host_names(ours["HOST"])
    ours["FLOWER_URL"] = os.environ.get("FLOWER_URL") or f"http://{shown(ours['HOST'])}:{ours['FLOWER_PORT']}"
    ours["PUBLIC_URL"] = os.environ.get("PUBLIC_URL") or f"http://{shown(ours['HOST'])}:{ours['PORT']}"
    # Used once SANDBOX_WEBHOOK_URL is set.
    ours["SANDBOX_WEBHOOK_SECRET"] = ours["PAYMENT_WEBHOOK_SECRETS"].partition(",")[0]
    ours["SANDBOX_DATA"] = os.environ.get("SANDBOX_DATA") or str(folder.path / "sandbox")
    folder.write_environment(ours)
    Path(ours["SANDBOX_DATA"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.environ | ours | _process_environment(folder)


def _secrets(kept: dict[str, str]) -> dict[str, str]:
    made = {"SECRET_KEY": secrets.token_urlsafe(50), "FLOWER_BASIC_AUTH": f"admin:{secrets.token_urlsafe(9)}"}
    made["PAYMENT_WEBHOOK_SECRETS"] = secrets.token_urlsafe(32)
    made |= {variable: secrets.token_urlsafe(9) for _, _, variable in DEMO_ACCOUNTS}
    if weakness_of_key(kept.get("SECRET_KEY", "")):  # a weak key that settings refused
        kept = kept | {"SECRET_KEY": ""}
    return {name: kept.get(name) or value for name, value in made.items()}


def _engine_addresses(kept: dict[str, str]) -> dict[str, str]:
    """Return our engines' URLs: the ports of the last start, if still free."""
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
    """Raises RunError for a foreign host, and for an invalid, taken or duplicate port."""
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
    """Return the default ALLOWED_HOSTS: the names under which clients reach this machine."""
    local = ["localhost", LOOPBACK, "[::1]"]
    return ",".join(local if host == LOOPBACK else [*local, host, os.uname().nodename])


def _process_environment(folder: DataFolder) -> dict[str, str]:
    programs = Path(sys.executable).parent
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS") or QUIET,
        "DATA_DIR": str(folder.path),
        # Some programs need a home; not every account has one.
        "HOME": os.environ.get("HOME") or str(folder.path),
        "XDG_CONFIG_HOME": str(folder.path / "config"),
        "XDG_DATA_HOME": str(folder.path / "share"),
    }


# --- engines ----------------------------------------------------------------------------------------------


def embedded_engines(folder: DataFolder, environment: dict[str, str]) -> list[Engine]:
    engines: list[Engine] = []
    if not os.environ.get("DATABASE_URL"):
        engines.append(Postgres.at(environment["DATABASE_URL"], folder=folder.path / "postgres"))
    if not os.environ.get("REDIS_URL"):
        engines.append(Valkey.at(environment["REDIS_URL"], folder=folder.path / "valkey"))
    return engines


def check_servers(environment: dict[str, str], engines: list[Engine]) -> None:
    """Raises RunError when a configured server does not answer."""
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
        raise RunError(f"Cannot connect to PostgreSQL at DATABASE_URL: {error}") from error
    except (redis.RedisError, ValueError) as error:
        raise RunError(f"Cannot connect to Redis or Valkey at REDIS_URL: {error}") from error


@contextlib.contextmanager
def started(engine: Engine, guardian: Guardian) -> Iterator[subprocess.Popen[bytes]]:
    say(f"Starting {engine.name} ...")
    process = start_engine(engine)
    guardian.watch(process.pid, stop_signal=engine.stop_signal)
    try:
        yield process
    finally:
        # The supervisor usually reaped it, and its pid may be reused.
        if process.returncode is None:
            stop_engine(engine, process)
        guardian.forget(process.pid)


def preload(environment: dict[str, str]) -> None:
    """Import what forked processes share. Raises RunError for invalid settings."""
    if not prefork.is_supported():
        return
    try:
        prefork.preload(environment)
    except ImproperlyConfigured as error:
        raise RunError(str(error)) from error


def prepare(engines: list[Engine], environment: dict[str, str], guardian: Guardian) -> None:
    """Run migrations, static files and the demo. Raises RunError when they fail."""
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
        raise RunError("the database could not be prepared; see the error above.")


# --- processes --------------------------------------------------------------------------------------------


def stream_entries(environment: dict[str, str]) -> list[Entry]:
    """Return the event stream's relay, if NATS_URL is set."""
    return [Entry("relay", "python manage.py relay")] if environment.get("NATS_URL") else []


def check_procfile(entries: list[Entry], environment: dict[str, str]) -> None:
    """Raises ProcfileError or RunError for a command that cannot be run."""
    for entry in entries:
        argv, _ = expand(entry.command, environment)
        if not shutil.which(argv[0], path=environment["PATH"]):
            raise RunError(
                f"{entry.name} needs {argv[0]}, which is not installed: delete .venv and run again."
            )


def supervise(
    entries: list[Entry], engines: list[Engine], environment: dict[str, str], guardian: Guardian
) -> Supervisor:
    """Return the supervisor of engines and processes; it prints the addresses once ready."""
    programs = [engine_program(engine) for engine in engines]
    programs += [process_program(entry, environment) for entry in entries]
    width = max(len(program.name) for program in programs)
    console = Console(sys.stdout.fileno(), colour=wants_colour(), width=width)
    say(f"Starting {len(entries)} processes ...")
    announcement = Announcement(environment, console)
    return Supervisor(programs, console, guardian, on_tick=lambda: announcement() and _rest())


def _rest() -> bool:
    memory.unmap_files()
    return True


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

    # A fork has its settings loaded: a variable of its own comes too late.
    can_be_forked = not assignments and prefork.is_python(argv)

    def start(output: int) -> Process:
        if can_be_forked:
            return start_python(argv, variables, output)
        return start_child(argv, death_signal=signal.SIGKILL, env=variables, cwd=BASE_DIR, output=output)

    return Program(name=entry.name, launch=start)


def start_python(argv: list[str], environment: dict[str, str], output: int) -> Process:
    """Start a Python program, by a fork where supported: faster, and shares memory."""
    if prefork.is_supported():
        return prefork.Forked(argv, death_signal=signal.SIGKILL, output=output)
    return start_child(argv, death_signal=signal.SIGKILL, env=environment, cwd=BASE_DIR, output=output)


def say(text: str) -> None:
    with contextlib.suppress(OSError):  # stdout may be closed
        print(text, flush=True)  # noqa: T201


def stop_on_signals() -> None:
    """Raise Stopped on a stop signal, until the supervisor installs its own handlers."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
