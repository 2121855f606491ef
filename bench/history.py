"""Order history by the million: SQL copies of a thousand processed orders."""

import os
import sys
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from bench.contestants import Ours

# added to an order's id per copy
PATTERN = 1000
COPIES_AT_ONCE = 100
YEARS = 2
# Transactions of a batch of 500, from intake to the end.
TRANSACTIONS_PER_PATTERN = 16
TABLES = {
    "orders_order": "id",
    "orders_orderline": "order_id",
    "orders_journey": "order_id",
    "orders_orderevent": "order_id",
    "payments_transaction": "order_id",
    "inventory_reservation": "order_id",
}
# Safe: an interrupted build starts over.
FAST_BUILD = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "synchronous_commit": "off"}
OVERRIDES = {
    "uuid": "md5((t.{id} + c.number * {pattern})::text)::uuid",
    "reference": "md5((t.{id} + c.number * {pattern})::text)::uuid",
    "transaction_id": "%(first)s::bigint + {transactions} * (c.number - %(from)s) + t.sequence",
}


class Young(Ours):
    """Our system with a short history."""

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
            _configure(connection, FAST_BUILD)
            _multiply(connection, self._copies)
            _configure(connection, dict.fromkeys(FAST_BUILD))
            connection.execute("VACUUM (FREEZE, ANALYZE)")
            with suppress(InsufficientPrivilege):  # the application's role may not
                connection.execute("CHECKPOINT")
        os.sync()

    def reset(self) -> None:
        """Keep all orders as history of the next round."""
        self.rig.flush_valkey()


class Old(Young):
    """Our system with `HISTORY` orders."""

    HISTORY = int(os.environ.get("HISTORY", "10000000"))
    name = f"after {HISTORY:,}"


def _configure(connection: psycopg.Connection[Any], settings: dict[str, str] | dict[str, None]) -> None:
    for name, value in settings.items():
        change = sql.SQL("SET {} = {}") if value else sql.SQL("RESET {}")
        connection.execute(sql.SQL("ALTER SYSTEM ") + change.format(sql.Identifier(name), sql.Literal(value)))
    connection.execute("SELECT pg_reload_conf()")


def _multiply(connection: psycopg.Connection[Any], copies: int) -> None:
    """Copy the pattern, spread over the last years."""
    connection.execute("SET work_mem = '256MB'")
    statements = {table: _copying(connection, table, key) for table, key in TABLES.items()}
    for first in range(1, copies + 1, COPIES_AT_ONCE):
        last = min(first + COPIES_AT_ONCE - 1, copies)
        number = _consume_transactions(connection, (last - first + 1) * TRANSACTIONS_PER_PATTERN)
        values = {"from": first, "to": last, "copies": copies, "first": number}
        for statement in statements.values():
            connection.execute(statement, values)
    for table in TABLES:
        _backdate(connection, table)
    connection.execute(
        "UPDATE inventory_stockitem SET reserved = reserved * %(times)s, sold = sold * %(times)s,"
        " on_hand = on_hand - sold * (%(times)s - 1)",
        {"times": copies + 1},
    )
    connection.execute(
        "SELECT setval(pg_get_serial_sequence('orders_order', 'id'), (SELECT max(id) FROM orders_order))"
    )


def _copying(connection: psycopg.Connection[Any], table: str, key: str) -> str:
    columns = _columns(connection, table)
    values = ", ".join(_value(column, kind, key) for column, kind in columns.items())
    # Names come from the catalogue.
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


def _backdate(connection: psycopg.Connection[Any], table: str) -> None:
    times = [name for name, kind in _columns(connection, table).items() if kind == "timestamp with time zone"]
    if times:
        changes = ", ".join(f"{name} = {name} - interval '{YEARS} years'" for name in times)
        connection.execute(f"UPDATE {table} SET {changes} WHERE {TABLES[table]} <= {PATTERN}")  # noqa: S608


def _columns(connection: psycopg.Connection[Any], table: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s", [table]
    )
    return dict(found.fetchall())


def _consume_transactions(connection: psycopg.Connection[Any], count: int) -> int:
    """Consume the copied orders' transaction ids; return the first."""
    found = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
    assert found is not None
    connection.execute(
        f"DO $$ BEGIN FOR i IN 1..{count} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    )
    return int(found[0])
