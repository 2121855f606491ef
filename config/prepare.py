"""`python -m config.prepare`: prepares the database in a single Django start.

The launcher runs it. A deployment calls `manage.py migrate` itself.
"""

import io
import os
import sys

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command


def main() -> None:
    """Collect static files outside DEBUG; check the configuration, migrate, add groups, load the demo."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from config import demo_accounts  # noqa: PLC0415 - their models need the apps
    from notifications import restored  # noqa: PLC0415

    # an image has its static files and may be read-only
    if not settings.DEBUG and os.access(settings.DATA_DIR, os.W_OK):
        call_command("collectstatic", verbosity=0, interactive=False)
    call_command("check", deploy=not settings.DEBUG, fail_level="ERROR", stdout=io.StringIO())
    call_command("migrate", verbosity=0, interactive=False)
    call_command("groups")
    if restored.is_behind():
        call_command("restored")
    if settings.DEMO:
        call_command("demo")
    elif names := demo_accounts.switch_off():
        print(f"The demo's accounts are switched off: {', '.join(names)}. DEMO=1 switches them on again.")  # noqa: T201


if __name__ == "__main__":
    try:
        main()
    except ImproperlyConfigured as error:  # the message has the fix
        sys.exit(str(error))
    except CommandError as error:  # from the checks
        sys.exit(f"The configuration is refused.\n{error}")
