"""How Django sees the project itself, and its admin."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.core import checks

from config import checks as ours


class ProjectConfig(AppConfig):
    """Templates, static files and checks that belong to the whole project."""

    default = True
    name = "config"
    verbose_name = "Project"

    def ready(self) -> None:
        """Have Django run our checks with its own."""
        for check in ours.ALL:
            checks.register(check)


class DeskConfig(admin.AdminConfig):
    """Django's admin with the operators' pages."""

    default = False
    default_site = "config.desk.Desk"
