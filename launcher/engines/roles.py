"""The application's role: owns its database, but is no superuser.

For an external server: `python -m launcher.engines.roles`, with libpq's variables (PGHOST, PGUSER, PGPASSWORD,
PGDATABASE) for a superuser and DATABASE_PASSWORD. Idempotent.
"""

import os
import sys
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROLE = "orders_app"

# Objects of other owners, without extensions; a table's sequences and indexes follow it.
FOREIGN_OBJECTS = """
WITH ours AS (
    SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), extensions AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), owned_sequences AS (
    SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
)
SELECT 'SCHEMA', quote_ident(nspname) FROM pg_namespace
WHERE oid IN (SELECT oid FROM ours) AND nspowner <> %(role)s::regrole
UNION ALL
SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
       oid::regclass::text
FROM pg_class
WHERE relnamespace IN (SELECT oid FROM ours) AND relkind IN ('r', 'p', 'v', 'm', 'S') AND relowner <> %(role)s::regrole
  AND ('pg_class'::regclass, oid) NOT IN (SELECT classid, objid FROM extensions)
  AND NOT (relkind = 'S' AND oid IN (SELECT objid FROM owned_sequences))
UNION ALL
SELECT 'ROUTINE', oid::regprocedure::text FROM pg_proc
WHERE pronamespace IN (SELECT oid FROM ours) AND proowner <> %(role)s::regrole
  AND ('pg_proc'::regclass, oid) NOT IN (SELECT classid, objid FROM extensions)
"""


def give_database(
    connection: psycopg.Connection[Any], *, password: str, attributes: str = "", role: str = ROLE
) -> None:
    """Create the role with this password, and make it own the connected database.

    Runs in the caller's transaction, as superuser. `attributes` are those of CREATE ROLE.
    """
    name = sql.Identifier(role)
    known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = sql.SQL("ALTER" if known is not None else "CREATE")
    # statement logs never show it
    secret = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOREPLICATION NOCREATEROLE {} PASSWORD {}").format(
            verb,
            name,
            sql.SQL(attributes),  # constants of our own code
            sql.Literal(secret),
        )
    )
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, name))
    for kind, thing in connection.execute(FOREIGN_OBJECTS, {"role": role}).fetchall():
        connection.execute(f"ALTER {kind} {thing} OWNER TO {role}")


def main() -> None:
    """Give the database to the role."""
    path = os.environ.get("DATABASE_PASSWORD_FILE")
    password = Path(path).read_text().rstrip("\r\n") if path else os.environ.get("DATABASE_PASSWORD", "")
    if not password:
        sys.exit("DATABASE_PASSWORD is not set: the application's role needs one.")
    try:
        with psycopg.connect(connect_timeout=10) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            give_database(connection, password=password)
    except psycopg.Error as error:
        sys.exit(f"The database could not be given to {ROLE}: {error}")


if __name__ == "__main__":
    main()
