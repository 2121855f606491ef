"""`manage.py stream check`: compare the event stream with the journal."""

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from stream import check
from stream.connection import connect


class Command(BaseCommand):
    help = (
        "Compares the event stream with the journal; fails if an event is missing, misplaced or duplicated."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["check"])

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.NATS_URL:
            raise CommandError("There is no stream: NATS_URL is not set.")
        difference = asyncio.run(_compare())
        if not difference.is_none:
            raise CommandError(str(difference))
        self.stdout.write(str(difference))


async def _compare() -> check.Difference:
    client = await connect(name="stream check")
    try:
        return await check.compare(client)
    finally:
        await client.close()
