"""The warehouse: units ever received per SKU, less write-offs."""

import csv
import sqlite3
from pathlib import Path
from typing import Annotated, Any

import msgspec

from sandbox.book import transaction
from sandbox.refusals import Refusal


class Received(msgspec.Struct, frozen=True):
    received: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class Warehouse:
    """Counts received units, knows no orders."""

    def __init__(self, book: sqlite3.Connection) -> None:
        self._book = book

    def seed(self, catalogue: Path) -> int:
        """Load the first stock from the catalogue, once. Return the number of SKUs."""
        if not catalogue.exists() or self._is_seeded():
            return 0
        with catalogue.open(newline="", encoding="utf-8") as lines:
            stock = [(row["sku"], int(row["stock"])) for row in csv.DictReader(lines)]
        with transaction(self._book):
            self._book.executemany("INSERT OR IGNORE INTO stock (sku, received) VALUES (?, ?)", stock)
            self._book.execute("INSERT OR IGNORE INTO milestones (name) VALUES ('seeded')")
        return len(stock)

    def page(self, *, after: str, limit: int) -> dict[str, Any]:
        """Return stock by SKU; `next` is the next page's cursor."""
        rows = self._book.execute(
            "SELECT sku, received FROM stock WHERE sku > ? ORDER BY sku LIMIT ?", (after, limit + 1)
        ).fetchall()
        items = [{"sku": row["sku"], "received": row["received"]} for row in rows[:limit]]
        return {"items": items, "next": items[-1]["sku"] if len(rows) > limit else None}

    def find(self, sku: str) -> dict[str, Any]:
        row = self._book.execute("SELECT sku, received FROM stock WHERE sku = ?", (sku,)).fetchone()
        if row is None:
            raise Refusal(404, "not_found", f"The warehouse has never seen {sku}.")
        return dict(row)

    def put(self, *, sku: str, received: int) -> dict[str, Any]:
        self._book.execute(
            "INSERT INTO stock (sku, received) VALUES (?, ?) "
            "ON CONFLICT (sku) DO UPDATE SET received = excluded.received",
            (sku, received),
        )
        return self.find(sku)

    def _is_seeded(self) -> bool:
        return self._book.execute("SELECT 1 FROM milestones WHERE name = 'seeded'").fetchone() is not None
