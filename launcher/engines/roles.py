"""The application's role: owns its database, is no superuser.

For an external server: `python -m launcher.engines.roles`, with libpq's variables (PGHOST, …) for a superuser and
DATABASE_PASSWORD for the role. Idempotent.
"""

import os
import sys
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROLE = "orders_app"

# Objects of other owners, except extensions'. Owned sequences and indexes follow their table.
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
    """Create the role and make it own the connected database, in the caller's transaction.

    Needs a superuser. `attributes` are those of CREATE ROLE, such as CREATEDB.
    """
    name = sql.Identifier(role)
    known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = sql.SQL("ALTER" if known is not None else "CREATE")
    # Hashed here: statement logs never show it.
    secret = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOREPLICATION NOCREATEROLE {} PASSWORD {}").format(
            verb,
            name,
            sql.SQL(attributes),  # constants only
            sql.Literal(secret),
        )
    )
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, name))
    for kind, thing in connection.execute(FOREIGN_OBJECTS, {"role": role}).fetchall():
        connection.execute(f"ALTER {kind} {thing} OWNER TO {role}")


def main() -> None:
    """Make the role own the database; exit with a message on errors."""
    path = os.environ.get("DATABASE_PASSWORD_FILE")
    password = Path(path).read_text().rstrip("\r\n") if path else os.environ.get("DATABASE_PASSWORD", "")
    if not password:
        sys.exit("DATABASE_PASSWORD is not set: the application's role needs one.")
    try:
        with psycopg.connect(connect_timeout=10) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            give_database(connection, password=password)
    except psycopg.Error as error:
        sys.exit(f"Could not make {ROLE} own the database: {error}")


if __name__ == "__main__":
    main()
