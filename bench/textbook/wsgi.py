"""The WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from bench.textbook.celery import app as celery  # noqa: F401 - so that tasks know where the broker is

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.textbook.settings")

application = get_wsgi_application()
