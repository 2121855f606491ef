"""`manage.py explain ORDER`: why an order is where it is."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders import queries
from orders.models import Order
from orders.operators.explain import explain


class Command(BaseCommand):
    """Say what an order waits for, since when, why, and what to do about it."""

    help = "Say what an order (id, UUID or number) waits for, since when, why, and what to do about it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="Its id, UUID or number.")

    def handle(self, *args: Any, **options: Any) -> None:
        order = self._named(options["order"])
        told = explain(order)
        rows = {
            "order": f"{order.number} (id {order.pk}), {order.journey.status}",
            "waiting for": told.waiting_for,
            "since": f"{told.since:%Y-%m-%d %H:%M:%S} UTC" if told.since else "",
            "why": told.why,
            "safe to retry": "yes" if told.safe_to_retry else "there is nothing to retry",
            "next look": f"{told.next_look:%Y-%m-%d %H:%M:%S} UTC" if told.next_look else "",
            "what to do": told.next_action,
        }
        for name, value in rows.items():
            if value:
                self.stdout.write(f"{name + ':':15}{value}")

    def _named(self, reference: str) -> Order:
        try:
            return queries.any_by_reference(reference)
        except queries.OrderNotFound as missing:
            raise CommandError(str(missing)) from missing
