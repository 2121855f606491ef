"""`manage.py alive NAME`: exit with 0 after a recent heartbeat."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from runtime import heartbeats
from scheduling import slots

# Beat's heartbeat needs a worker, which may be restarting.
BEAT_SECONDS = 60.0


class Command(BaseCommand):
    """Health check of processes that listen on no port."""

    help = "Exit with 0 if the dispatcher or beat has a recent heartbeat, else with 1."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=["dispatcher", "beat"])

    def handle(self, *args: Any, **options: Any) -> None:
        age = _age_of_beat() if options["name"] == "beat" else heartbeats.alive().get(options["name"])
        if age is None or age > BEAT_SECONDS:
            raise CommandError(f"No recent heartbeat of {options['name']}.")
        self.stdout.write(f"{options['name']} was alive {age:.0f} s ago.")


def _age_of_beat() -> float | None:
    now = slots.database_now()
    started = slots.latest_start("beat", until=now)
    return (now - started).total_seconds() if started else None
