"""`manage.py archive move|read`."""

import time
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.maintenance import archive
from scheduling.slots import database_now


class Command(BaseCommand):
    """Move ended orders to the archive, or write a month of it to stdout."""

    help = "Move orders that ended some months ago to the archive, or read a month of it."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        move = actions.add_parser(
            "move", help="Move older orders, beside running processes. May be interrupted."
        )
        move.add_argument("--months", type=int, required=True, help="Latest whole months to keep.")
        move.add_argument(
            "--rest", type=float, default=1.0, help="Pause after each step, in multiples of its duration."
        )
        read = actions.add_parser("read", help="Write a month's orders to stdout, one JSON object a line.")
        read.add_argument("month", help="As 2026-01.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "read":
            self._read(_month(options["month"]))
        else:
            self._move(months=options["months"], rest=options["rest"])

    def _move(self, *, months: int, rest: float) -> None:
        if months < 1 or rest < 0:
            raise CommandError("--months is at least 1, --rest at least 0.")
        total: Counter[date] = Counter()
        for moved in archive.move(before=archive.months_before(database_now(), months)):
            for month in moved.months.keys() - total.keys():
                self.stdout.write(f"{month:%Y-%m} ...")
            total += moved.months
            time.sleep(moved.seconds * rest)
        self.stdout.write(
            "".join(f"{month:%Y-%m}: {orders} orders\n" for month, orders in sorted(total.items()))
        )
        self.stdout.write(self.style.SUCCESS(f"{total.total()} orders archived"))

    def _read(self, month: date) -> None:
        for document in archive.read(month):
            self.stdout.write(document)


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise CommandError(f"{text!r} is not a month such as 2026-01.") from None
