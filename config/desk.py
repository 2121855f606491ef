"""The operators' desk: Django's admin, and pages on what has no single primary key for it to list."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse

PageView = Callable[[HttpRequest, dict[str, Any]], HttpResponse]


@dataclass(frozen=True)
class Page:
    """A page beside the models' lists. Its view gets the request and the context that all pages need."""

    app_label: str
    title: str
    slug: str
    permission: str
    view: PageView

    @property
    def url_name(self) -> str:
        """Its name among the admin's addresses."""
        return f"{self.app_label}_{self.slug}".replace("-", "_")


class Desk(AdminSite):
    """The admin site."""

    site_header = "Order pipeline"
    site_title = "Order pipeline"
    index_title = "Operators' desk"
