"""`python -m cluster.prepare FOLDER`: wait for a leader, then migrate."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from cluster import environment
from cluster.plan import Plan, running_plan
from launcher.engines.postgres import DATABASE
from launcher.engines.roles import give_database

LEADER_SECONDS = 150.0
CONNECT_SECONDS = 2


def main() -> None:
    """Exit with an error without a leader, or if migrations fail."""
    plan = running_plan(Path(sys.argv[1]))
    _create_database(plan)
    variables = environment.of_node(plan, plan.nodes[0]) | {"DATA_DIR": str(plan.folder)}
    (plan.folder / "env").touch(mode=0o600)
    kept = {name: value for name, value in variables.items() if os.environ.get(name) != value}
    (plan.folder / "env").write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    done = subprocess.run([sys.executable, "-m", "config.prepare"], env=variables, check=False)
    if done.returncode:
        sys.exit("The database could not be prepared; see the error above.")
    plan.prepared.touch()


def _create_database(plan: Plan) -> None:
    """Create the database and the role that owns it, which is no superuser."""
    with _superuser(plan, "postgres") as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if not known:
            connection.execute(f"CREATE DATABASE {DATABASE}")
    with _superuser(plan, DATABASE) as connection, connection.transaction():
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        give_database(connection, password=plan.secrets["DATABASE_PASSWORD"])


def _superuser(plan: Plan, database: str) -> psycopg.Connection:
    deadline = time.monotonic() + LEADER_SECONDS
    while True:
        try:
            return psycopg.connect(
                plan.superuser_url(database), connect_timeout=CONNECT_SECONDS, autocommit=True
            )
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                sys.exit(f"No PostgreSQL leader after {LEADER_SECONDS:.0f} s: {error}")
            time.sleep(0.3)


if __name__ == "__main__":
    main()
