"""App configurations."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin
from django.core import checks

from config import checks as ours
from config.leg_checks import legs_are_whole


class ProjectConfig(AppConfig):
    """The project's templates, static files and checks."""

    default = True
    name = "config"
    verbose_name = "Project"

    def ready(self) -> None:
        """Register checks; plant the defect that a test names."""
        for check in (*ours.ALL, legs_are_whole):
            checks.register(check)
        for check in ours.DEPLOY:
            checks.register(check, deploy=True)
        if settings.PLANTED_FAULT:
            # by name: the product does not depend on its tests
            import_module("tests.planted").plant(settings.PLANTED_FAULT)


class DeskConfig(admin.AdminConfig):
    default = False
    default_site = "config.admin_site.Desk"
