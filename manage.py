#!/usr/bin/env python
"""Django's command line: `python manage.py help` lists what it can do."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        _ = (
            settings.INSTALLED_APPS
        )  # Django itself would hide a mistake in the settings until something else breaks
    except ImproperlyConfigured as mistake:
        sys.exit(f"The settings are not right: {mistake}")
    execute_from_command_line(sys.argv)
