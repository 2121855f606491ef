"""How Django sees the project itself, and its admin."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin
from django.core import checks

from config import checks as ours


class ProjectConfig(AppConfig):
    """Templates, static files and checks that belong to the whole project."""

    default = True
    name = "config"
    verbose_name = "Project"

    def ready(self) -> None:
        """Have Django run our checks with its own; plant the fault that a test asked for."""
        for check in ours.ALL:
            checks.register(check)
        for check in ours.DEPLOY:
            checks.register(check, deploy=True)
        if settings.PLANTED_FAULT:
            # By name: the product knows nothing of its tests unless one of them is looking.
            import_module("tests.planted").plant(settings.PLANTED_FAULT)


class DeskConfig(admin.AdminConfig):
    """Django's admin with the operators' pages."""

    default = False
    default_site = "config.admin_site.Desk"
