"""`manage.py backedup`: note that a backup was made, for the alert BackupOverdue."""

from typing import Any

from django.core.management.base import BaseCommand

from scheduling.slots import database_now, note_run


class Command(BaseCommand):
    help = (
        "Note that a backup succeeded just now. `make backup` does it; call it after backups by other tools."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        note_run("backup", outcome="noted", now=database_now())
        self.stdout.write("The backup is noted.")
