"""`manage.py groups`: add the groups of staff."""

from typing import Any

from django.core.management.base import BaseCommand

from config.groups import add_groups


class Command(BaseCommand):
    help = "Adds the groups support, finance, warehouse and read-only. Existing ones stay as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        added = add_groups()
        self.stdout.write(f"groups: {added} added" if added else "groups: nothing to add")
