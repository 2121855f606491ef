"""Bring the database up to date before the processes start: one Django start for all of it.

Run by the launcher as `python -m config.prepare`. A deployment calls `manage.py migrate` itself.
"""

import os

import django
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    """Migrate; collect the static files where they are not served from their sources; load the demo."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from notifications import restored  # noqa: PLC0415 - its models need the apps

    call_command("migrate", verbosity=0, interactive=False)
    if restored.is_behind():
        call_command("restored")
    if not settings.DEBUG:
        call_command("collectstatic", verbosity=0, interactive=False)
    if settings.DEMO:
        call_command("demo")


if __name__ == "__main__":
    main()
