"""Each table has one door: only its owner writes it by name. Others call the owner's manager or module."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITES = re.compile(
    r"\b(?:INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|MERGE INTO|COPY) +(?:ONLY +)?([a-z]+_[a-z]+)\b"
)
# They stand beside the service, or before it.
BESIDE = ("tests/", "bench/", "chaos/", "attacks/", "cluster/", "docs/")

PLACING, JOURNEYS = "orders/managers/orders.py", "orders/managers/journeys.py"
ARCHIVE = "orders/maintenance/archive.py"  # moves whole orders with all that belongs to them
RESTORE = "orders/maintenance/restore.py"  # moves them back
DOORS = {
    "api_": set(),
    "orders_idempotencykey": {"api/managers.py"},
    "inventory_": {"inventory/managers.py"},
    "orders_order": {PLACING, ARCHIVE},
    "orders_orderline": {PLACING, ARCHIVE},
    "orders_journey": {JOURNEYS},
    "orders_orderevent": {PLACING, JOURNEYS, ARCHIVE},
    "orders_archivedorder": {ARCHIVE, RESTORE},
    "orders_archivedunits": {ARCHIVE, RESTORE},
    "orders_batch": {"orders/batches.py"},
    "orders_steprun": {"orders/batches.py"},
    "orders_stockqueue": set(),
    "payments_": {"payments/", ARCHIVE},
    "shipping_": {"shipping/"},
    "notifications_": {"notifications/"},
}


def door(table: str) -> set[str] | None:
    """Return who may write a table: what is said of it, or of all of its app."""
    return DOORS.get(table, DOORS.get(table.split("_", maxsplit=1)[0] + "_"))


def foreign_writes(path: str, text: str) -> list[str]:
    """Return the tables that a module writes although it is not their door."""
    return [
        table
        for table in WRITES.findall(text)
        if (owners := door(table)) is not None and not path.startswith(tuple(owners) or ("\0",))
    ]


def modules() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [
        path
        for path in listed.stdout.split()
        if not path.startswith(BESIDE) and "/migrations/" not in path and (ROOT / path).exists()
    ]


def test_only_the_door_of_a_table_writes_it_by_name():
    found = {
        path: tables for path in modules() if (tables := foreign_writes(path, (ROOT / path).read_text()))
    }
    assert found == {}


def test_every_door_is_in_use():
    doors = {owner for owners in DOORS.values() for owner in owners if owner.endswith(".py")}
    assert {owner for owner in doors if not WRITES.search((ROOT / owner).read_text())} == set()


@pytest.mark.parametrize(
    ("path", "statement", "tables"),
    [
        ("board/cards.py", "UPDATE inventory_product SET price = 1", ["inventory_product"]),
        ("orders/steps.py", "DELETE FROM orders_idempotencykey", ["orders_idempotencykey"]),
        ("payments/ledger.py", "INSERT INTO payments_transaction AS t", []),
        ("orders/maintenance/audit.py", "SELECT * FROM inventory_stockitem", []),
    ],
)
def test_a_write_is_found_and_a_report_is_not(path, statement, tables):
    assert foreign_writes(path, statement) == tables
