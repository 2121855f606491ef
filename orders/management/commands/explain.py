"""`manage.py explain ORDER`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders import queries
from orders.models import Order
from orders.operators.explain import explain


class Command(BaseCommand):
    help = "Explain what an order (id, UUID or number) waits for, since when, why, and what to do about it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="Its id, UUID or number.")

    def handle(self, *args: Any, **options: Any) -> None:
        order = self._named(options["order"])
        explanation = explain(order)
        rows = {
            "order": f"{order.number} (id {order.pk}), {order.journey.status}",
            "waiting for": explanation.waiting_for,
            "since": f"{explanation.since:%Y-%m-%d %H:%M:%S} UTC" if explanation.since else "",
            "why": explanation.why,
            "safe to retry": "yes" if explanation.safe_to_retry else "there is nothing to retry",
            "next attempt": f"{explanation.next_look:%Y-%m-%d %H:%M:%S} UTC" if explanation.next_look else "",
            "what to do": explanation.next_action,
        }
        for name, value in rows.items():
            if value:
                self.stdout.write(f"{name + ':':15}{value}")

    def _named(self, reference: str) -> Order:
        try:
            return queries.any_by_reference(reference)
        except queries.OrderNotFound as missing:
            raise CommandError(str(missing)) from missing
