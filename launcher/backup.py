"""`make backup` and `make restore`: the database in one file.

The engines of the data folder are started if they do not run. Valkey needs no backup: it is rebuilt from the
database.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from config.environment import database_url, redis_url
from launcher.alone import data_folder, engines_of, environment_of
from launcher.data_folder import DataFolderError
from launcher.engines import EngineError
from launcher.engines.postgres import Postgres
from launcher.run import BASE_DIR, RunError, say

REDIS_DATABASES = range(4)
MANAGE = (sys.executable, "manage.py")
# Extensions' objects stay: the superuser owns them.
OUR_OBJECTS = """
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname
    FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('e', 'a', 'i'))
"""
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class BackupError(Exception):
    """It cannot be done; the message has the cause and the fix."""


def main(argv: list[str]) -> int:
    """Run `save [FILE]` or `restore FILE`; return the exit status."""
    command, name = argv[0], argv[1] if len(argv) > 1 else ""
    try:
        folder = data_folder()
        environment = environment_of(folder)
        with engines_of(folder, environment):
            if command == "save":
                save(environment, Path(name) if name else _default_file(folder.path))
            else:
                restore(environment, _existing(name), replace=os.environ.get("REPLACE") == "1")
    except (BackupError, RunError, DataFolderError, EngineError, psycopg.Error) as error:
        print(f"Not done: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def save(environment: Mapping[str, str], file: Path) -> None:
    """Write a dump of the database, readable by us alone, and note that a backup was made. Raises BackupError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        _program(environment, "pg_dump", "-Fc", "-f", str(part.absolute()))
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    _manage(environment, "backedup")
    say(f"Saved {file} ({file.stat().st_size:,} bytes). It holds customers' data: keep it safe.")


def restore(environment: Mapping[str, str], file: Path, *, replace: bool) -> None:
    """Load a dump into the database, which must be unused, and empty unless `replace`. Raises BackupError."""
    with psycopg.connect(_database(environment), autocommit=True) as connection:
        _check_unused(connection)
        _clear(connection, replace=replace)
    _program(
        environment,
        "pg_restore",
        "--no-owner",
        "--no-comments",
        "--exit-on-error",
        "--single-transaction",
        "-d",
        _without_password(_database(environment)),
        str(file.absolute()),
        takes_url=False,
    )
    _flush(environment)
    _manage(environment, "migrate", "--verbosity", "0")
    _manage(environment, "restored")
    say(
        f"Restored {file}. Start the system, then run `manage.py audit`: it names payments that the dump does not know."
    )


def _check_unused(connection: psycopg.Connection) -> None:
    row = connection.execute(OTHERS).fetchone()
    if row and row[0]:
        raise BackupError(f"{row[0]} connections use the database: stop every process first.")


def _clear(connection: psycopg.Connection, *, replace: bool) -> None:
    objects = connection.execute(OUR_OBJECTS).fetchall()
    if objects and not replace:
        raise BackupError(
            f"the database holds {len(objects)} tables. REPLACE=1 drops them, with all their orders."
        )
    with connection.transaction():
        for kind, name in objects:
            drop = sql.SQL("DROP {} IF EXISTS {} CASCADE").format(
                sql.SQL(kind), sql.Identifier("public", name)
            )
            connection.execute(drop)


def _flush(environment: Mapping[str, str]) -> None:
    """Drop messages about orders that may no longer exist."""
    for number in REDIS_DATABASES:
        address = redis_url(environment["REDIS_URL"], number, password=environment.get("REDIS_PASSWORD", ""))
        with redis.Redis.from_url(address, socket_connect_timeout=5) as client:
            client.flushdb()


def _program(environment: Mapping[str, str], name: str, *options: str, takes_url: bool = True) -> None:
    """Run a program of PostgreSQL; the password stays out of the list of processes."""
    url = _database(environment)
    postgres = Postgres.at(url, folder=Path(environment["DATA_DIR"]) / "postgres")
    where = ["-d", _without_password(url)] if takes_url else []
    password = unquote(urlsplit(url).password or "")
    done = subprocess.run(
        [str(postgres.programs() / name), *where, *options],
        env={**environment, "PGPASSWORD": password, "PGOPTIONS": "-c statement_timeout=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"{name} failed: {done.stderr.strip() or done.stdout.strip()}")


def _manage(environment: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [*MANAGE, *arguments],
        cwd=BASE_DIR,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"manage.py {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")


def _database(environment: Mapping[str, str]) -> str:
    return database_url(environment["DATABASE_URL"], password=environment.get("DATABASE_PASSWORD", ""))


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    user = quote(unquote(parts.username or ""), safe="")
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(scheme="postgresql", netloc=f"{user}@{host}"))


def _default_file(folder: Path) -> Path:
    return folder / "backups" / f"orders-{datetime.now(UTC):%Y%m%d-%H%M%S}.dump"


def _existing(name: str) -> Path:
    if not name:
        raise BackupError("name the dump: make restore FILE=orders.dump")
    if not Path(name).is_file():
        raise BackupError(f"{name} does not exist.")
    return Path(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
