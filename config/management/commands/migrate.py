"""`manage.py migrate`, as Django has it, but waiting for the database for as long as a migration takes."""

from typing import Any

from django.core.management.commands import migrate

from database import deadline


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with deadline.lifted():
            super().handle(*args, **options)
