"""The embedded PostgreSQL and Valkey."""

import os
import pwd
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis

from launcher.engines import EngineError, free_port, running, start_engine, stop_engine
from launcher.engines.identity import Identity
from launcher.engines.postgres import Postgres
from launcher.engines.valkey import Valkey


def make_postgres(folder: Path, *, port: int | None = None, password: str = "secret-1") -> Postgres:
    return Postgres(folder=folder / "postgres", port=port or free_port(), password=password)


def make_valkey(folder: Path) -> Valkey:
    return Valkey(folder=folder / "valkey", port=free_port(), password="secret-2")


def test_postgres_keeps_committed_rows_when_it_is_killed(tmp_path):
    postgres = make_postgres(tmp_path)
    process = start_engine(postgres)
    postgres.create_database()
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    process.kill()
    process.wait()

    with running(postgres), psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (1,)


def test_postgres_has_our_database_and_statement_statistics(tmp_path):
    postgres = make_postgres(tmp_path)
    with running(postgres):
        postgres.create_database()
        postgres.create_database()
        with psycopg.connect(postgres.url) as connection:
            connection.execute("SELECT count(*) FROM pg_stat_statements")
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW scram_iterations").fetchone() == ("64",)


def test_postgres_asks_for_its_password(tmp_path):
    postgres = make_postgres(tmp_path)
    with running(postgres), pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace("secret-1", "guess"))


def test_postgres_does_not_open_the_folders_above_its_data(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with running(make_postgres(closed)):
        assert closed.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def place_for_root(monkeypatch):
    """A folder that every account may enter, like /var."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o711)
        monkeypatch.setattr("launcher.engines.identity.PLACE_FOR_ROOT", Path(place))
        yield


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program as another account")
def test_postgres_runs_as_nobody_where_root_has_no_namespaces(tmp_path, place_for_root):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    nobody = Identity(account=pwd.getpwnam("nobody"))
    postgres = Postgres(folder=closed / "postgres", port=free_port(), password="secret", identity=nobody)

    with running(postgres):
        postgres.create_database()

    assert postgres.data.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert closed.stat().st_mode & 0o777 == 0o700
    assert (closed / "postgres" / "PG_VERSION").is_file()


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "postgres").mkdir()
    with pytest.raises(EngineError, match="holds no PostgreSQL data"):
        start_engine(make_postgres(tmp_path))


def test_data_of_another_postgres_version_are_refused(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(EngineError, match="PostgreSQL 15"):
        start_engine(make_postgres(tmp_path))


def test_data_under_another_password_are_refused_by_name(tmp_path):
    with running(make_postgres(tmp_path)):
        pass
    with pytest.raises(EngineError, match="another password"):
        start_engine(make_postgres(tmp_path, password="forgotten"))


def test_a_taken_port_is_told_from_the_engines_own_log(tmp_path):
    with (
        running(valkey := make_valkey(tmp_path)),
        pytest.raises(EngineError, match="postgres exited while starting"),
    ):
        start_engine(make_postgres(tmp_path, port=valkey.port))


def test_a_lock_left_by_a_killed_server_does_not_stop_the_next(tmp_path):
    postgres = make_postgres(tmp_path)
    with running(postgres):
        lock = (postgres.folder / "postmaster.pid").read_text()
    # The number now belongs to a process that is alive, but is no PostgreSQL.
    (postgres.folder / "postmaster.pid").write_text(lock.replace(lock.split("\n")[0], str(os.getpid()), 1))
    with running(postgres):
        assert postgres.is_ready()


def test_an_interrupted_initialisation_leaves_nothing_that_looks_like_data(tmp_path, monkeypatch):
    postgres = make_postgres(tmp_path)
    monkeypatch.setattr(Postgres, "_initdb", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        postgres.prepare()
    assert list(tmp_path.iterdir()) == []


def test_valkey_keeps_its_values_when_it_is_killed(tmp_path):
    valkey = make_valkey(tmp_path)
    process = start_engine(valkey)
    with redis.Redis.from_url(valkey.url) as client:
        client.set("kept", "1")
        client.execute_command("WAITAOF", 1, 0, 2000)
    process.kill()
    process.wait()

    with running(valkey), redis.Redis.from_url(valkey.url) as client:
        assert client.get("kept") == b"1"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_valkey_asks_for_its_password_and_keeps_it_out_of_the_process_list(tmp_path):
    valkey = make_valkey(tmp_path)
    process = start_engine(valkey)
    try:
        command_line = Path(f"/proc/{process.pid}/cmdline")
        if command_line.exists():
            assert "secret-2" not in command_line.read_text()
        with redis.Redis(port=valkey.port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        stop_engine(valkey, process)


def test_two_sets_of_engines_run_beside_each_other(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with running(
        *(make_postgres(folder) for folder in folders), *(make_valkey(folder) for folder in folders)
    ):
        pass


def test_stopping_an_engine_leaves_no_process_behind(tmp_path):
    postgres = make_postgres(tmp_path, password=secrets.token_urlsafe())
    process = start_engine(postgres)
    stop_engine(postgres, process)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, signal.SIGCONT)


def test_the_application_is_no_superuser_and_owns_its_database(tmp_path):
    postgres = make_postgres(tmp_path)
    with running(postgres):
        postgres.create_database()
        with psycopg.connect(postgres.url) as connection:
            role = connection.execute(
                "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
                " FROM pg_roles WHERE rolname = current_user"
            )
            assert role.fetchone() == (False,) * 5
            connection.execute("CREATE TABLE mine (id int)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("COPY mine FROM PROGRAM 'true'")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.url.replace("orders_app:", "orders:"))


OLD_DATA = """
CREATE TABLE kept (id bigserial PRIMARY KEY, value int); INSERT INTO kept (value) VALUES (7);
CREATE VIEW seen AS SELECT value FROM kept;
CREATE SEQUENCE counter;
CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7'
"""


def make_data_of_an_earlier_release(postgres: Postgres) -> None:
    """Make a database as an earlier release did: the superuser's, with the password that is kept."""
    server = f"postgres://orders:{postgres.password}@127.0.0.1:{postgres.port}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE orders")
    with psycopg.connect(f"{server}/orders", autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute(OLD_DATA)


def test_data_of_an_earlier_release_become_the_applications(tmp_path):
    postgres = make_postgres(tmp_path)
    with running(postgres):
        make_data_of_an_earlier_release(postgres)
    for _ in range(2):  # the second start finds nothing left to do
        with running(postgres):
            postgres.create_database()
            with psycopg.connect(postgres.url) as connection:
                assert connection.execute("SELECT value, seven() FROM seen").fetchone() == (7, 7)
                connection.execute("INSERT INTO kept (value) VALUES (nextval('counter'))")
                connection.execute("ALTER TABLE kept ADD COLUMN IF NOT EXISTS more int")
                connection.execute("ALTER FUNCTION seven() RENAME TO eight")
                connection.rollback()
                super_ = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
                assert connection.execute(super_).fetchone() == (False,)


def test_the_role_of_a_server_of_ones_own_is_made_and_made_again_with_another_password(tmp_path):
    postgres = make_postgres(tmp_path)
    with running(postgres):
        make_data_of_an_earlier_release(postgres)
        for password in ("with@and/and:", "another"):
            owner = {
                "PGHOST": "127.0.0.1",
                "PGPORT": str(postgres.port),
                "PGUSER": "orders",
                "PGDATABASE": "orders",
            }
            secret = tmp_path / "password"
            secret.write_text(f"{password}\n")
            done = subprocess.run(
                [sys.executable, "-m", "launcher.engines.roles"],
                env=os.environ
                | owner
                | {"PGPASSWORD": postgres.password, "DATABASE_PASSWORD_FILE": str(secret)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            with psycopg.connect(
                host="127.0.0.1", port=postgres.port, user="orders_app", password=password, dbname="orders"
            ) as connection:
                connection.execute("ALTER TABLE kept ADD COLUMN IF NOT EXISTS more int")
