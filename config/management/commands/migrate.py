"""Django's `migrate` without the statement timeout."""

from typing import Any

from django.core.management.commands import migrate

from database import deadline


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with deadline.lifted():
            super().handle(*args, **options)
