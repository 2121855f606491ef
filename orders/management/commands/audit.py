"""`manage.py audit`: prove that no order, no unit of stock and no cent is lost."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.maintenance import audit


class Command(BaseCommand):
    """Check the books against the provider's ledger; exit with 1 if anything does not hold."""

    help = "Prove the books against the database and the payment provider's ledger; names every violation."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--without-ledger", action="store_true", help="Do not ask the payment provider.")

    def handle(self, *args: Any, **options: Any) -> None:
        report = audit.run(with_ledger=not options["without_ledger"])
        for violation in report.violations:
            self.stderr.write(str(violation))
        if not report.is_clean:
            raise CommandError(report.summary)
        self.stdout.write(self.style.SUCCESS(report.summary))
