"""A past: finished orders by the million, copied set-wise in SQL from a thousand that were really worked off."""

import os
import sys
from typing import Any

import psycopg
from psycopg import sql

from bench.contestants import Ours

# Every copied order's id is so many more than that of the order it is a copy of.
PATTERN = 1000
COPIES_AT_ONCE = 100
YEARS = 2
# What a batch of 500 takes, from its orders' intake to their end.
TRANSACTIONS_PER_PATTERN = 16
TABLES = {
    "orders_order": "id",
    "orders_orderline": "order_id",
    "orders_journey": "order_id",
    "orders_orderevent": "order_id",
    "payments_transaction": "order_id",
    "inventory_reservation": "order_id",
}
# Nothing is lost by this but the time: a build that is interrupted is begun anew.
RESUME = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "synchronous_commit": "off"}
OVERRIDES = {
    "uuid": "md5((t.{id} + c.number * {pattern})::text)::uuid",
    "reference": "md5((t.{id} + c.number * {pattern})::text)::uuid",
    "transaction_id": "%(first)s::bigint + {transactions} * (c.number - %(from)s) + t.sequence",
}


class Young(Ours):
    """Our system, with a few orders behind it."""

    name, HISTORY = "after 10,000", 10_000

    def __init__(self) -> None:
        super().__init__()
        self._copies = self.HISTORY // PATTERN - 1

    def prepare(self) -> None:
        super().prepare()
        self.start_workers(shared=2)
        self.rig.run(sys.executable, "-m", "bench.shop", "history", str(PATTERN))
        self.rig.until(self.is_idle, "the orders that the history is made of")
        self.rig.stop_processes()
        with self.rig.connect() as connection:
            _hurry(connection, RESUME)
            _multiply(connection, self._copies)
            _hurry(connection, dict.fromkeys(RESUME))
            connection.execute("VACUUM (FREEZE, ANALYZE)")
            connection.execute("CHECKPOINT")
        os.sync()

    def reset(self) -> None:
        """Keep all orders: what a round leaves behind is history for the next."""
        self.rig.flush_valkey()


class Old(Young):
    """Our system, with as many orders behind it as `HISTORY` says."""

    HISTORY = int(os.environ.get("HISTORY", "10000000"))
    name = f"after {HISTORY:,}"


def _hurry(connection: psycopg.Connection[Any], settings: dict[str, str] | dict[str, None]) -> None:
    for name, value in settings.items():
        change = sql.SQL("SET {} = {}") if value else sql.SQL("RESET {}")
        connection.execute(sql.SQL("ALTER SYSTEM ") + change.format(sql.Identifier(name), sql.Literal(value)))
    connection.execute("SELECT pg_reload_conf()")


def _multiply(connection: psycopg.Connection[Any], copies: int) -> None:
    """Give every order of the pattern so many copies, spread over the last years, the pattern the oldest."""
    connection.execute("SET work_mem = '256MB'")
    statements = {table: _copying(connection, table, key) for table, key in TABLES.items()}
    for first in range(1, copies + 1, COPIES_AT_ONCE):
        last = min(first + COPIES_AT_ONCE - 1, copies)
        number = _use_up_transactions(connection, (last - first + 1) * TRANSACTIONS_PER_PATTERN)
        values = {"from": first, "to": last, "copies": copies, "first": number}
        for statement in statements.values():
            connection.execute(statement, values)
    for table in TABLES:
        _grow_old(connection, table)
    connection.execute(
        "UPDATE inventory_stockitem SET reserved = reserved * %(times)s, sold = sold * %(times)s,"
        " on_hand = on_hand - sold * (%(times)s - 1)",
        {"times": copies + 1},
    )
    connection.execute(
        "SELECT setval(pg_get_serial_sequence('orders_order', 'id'), (SELECT max(id) FROM orders_order))"
    )


def _copying(connection: psycopg.Connection[Any], table: str, key: str) -> str:
    """Return the statement that copies a table's part of the pattern."""
    columns = _columns(connection, table)
    values = ", ".join(_value(column, kind, key) for column, kind in columns.items())
    # The names are the database's own.
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values}"  # noqa: S608
        f" FROM generate_series(%(from)s::int, %(to)s::int) AS c(number), {table} t"
        f" WHERE t.{key} <= {PATTERN} ORDER BY c.number, t.{key}"
    )


def _value(column: str, kind: str, key: str) -> str:
    if column in OVERRIDES:
        return OVERRIDES[column].format(id=key, pattern=PATTERN, transactions=TRANSACTIONS_PER_PATTERN)
    if column == key:
        return f"t.{key} + c.number * {PATTERN}"
    if kind == "timestamp with time zone":
        return f"t.{column} - interval '{YEARS} years' * (1 - c.number / %(copies)s::float8)"
    return f"t.{column}"


def _grow_old(connection: psycopg.Connection[Any], table: str) -> None:
    """Put the pattern itself at the beginning of its copies."""
    times = [name for name, kind in _columns(connection, table).items() if kind == "timestamp with time zone"]
    if times:
        changes = ", ".join(f"{name} = {name} - interval '{YEARS} years'" for name in times)
        connection.execute(f"UPDATE {table} SET {changes} WHERE {TABLES[table]} <= {PATTERN}")  # noqa: S608


def _columns(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s", [table]
    )
    return dict(found.fetchall())


def _use_up_transactions(connection: psycopg.Connection[Any], count: int) -> int:
    """Have as many transactions pass as the copied orders would have taken; return the first one's number."""
    found = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert found is not None
    connection.execute(
        f"DO $$ BEGIN FOR i IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    )
    return int(found[0])
