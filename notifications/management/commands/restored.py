"""`manage.py restored`: let the journal's readers resume after a restore."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from database import deadline
from notifications import restored

# Above this, pg_resetwal is faster.
MOST = 20_000_000


class Command(BaseCommand):
    help = "Run once after restoring a dump into another cluster, before processes start. Idempotent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Only report; fail if anything is missing.")

    def handle(self, *args: Any, **options: Any) -> None:
        with deadline.lifted():
            self._run(options)

    def _run(self, options: dict[str, Any]) -> None:
        count = restored.missing()
        if not count:
            self.stdout.write("Nothing to do: this cluster's transaction numbers are past the journal's.")
            return
        if options["check"]:
            raise CommandError(f"{count} transaction numbers are missing: run `manage.py restored`.")
        if count > MOST:
            raise CommandError(
                f"{count} transaction numbers are missing, which takes too long this way: stop the server"
                " and see pg_resetwal --next-transaction-id in docs/operations.md."
            )
        restored.catch_up(count)
        self.stdout.write(f"{count} transaction numbers used up; {restored.missing()} still missing.")
