"""`manage.py audit`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.maintenance import audit


class Command(BaseCommand):
    """Run the audit; exit with 1 on a violation."""

    help = (
        "Check the invariants against the database and the payment provider's ledger; print every violation."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--without-ledger", action="store_true", help="Skip the payment provider's ledger."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        report = audit.run(with_ledger=not options["without_ledger"])
        for violation in report.violations:
            self.stderr.write(str(violation))
        if not report.is_clean:
            raise CommandError(report.summary)
        self.stdout.write(self.style.SUCCESS(report.summary))
