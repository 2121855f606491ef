"""Read-only lists and pages of the admin, at a cost independent of history."""

from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

PAGES_AHEAD = 5


class ReadOnlyAdmin(admin.ModelAdmin):
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by: ClassVar[tuple[str, ...]] = ()
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, *_: Any, **__: Any
    ) -> Paginator:
        page = request.GET.get(PAGE_VAR, "1")
        return NearPaginator(queryset, per_page, page=int(page) if page.isdigit() else 1)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list; without filters after a statement timeout."""
        title = {"title": str(self.opts.verbose_name_plural).capitalize()}
        try:
            response = super().changelist_view(request, title | (extra_context or {}))
            return response.render() if isinstance(response, TemplateResponse) else response
        except OperationalError:
            if not request.GET:
                raise
            self.message_user(
                request, "The query took too long. Filter by date to narrow it down.", messages.WARNING
            )
            return HttpResponseRedirect(request.path)


class PageAdmin(ReadOnlyAdmin):
    """A list with a custom page per object."""

    page = ""

    def missing(self, object_id: str) -> HttpResponse:
        raise Http404(f"No {self.opts.verbose_name} {object_id[:40]}.")

    def context_of(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 - Django's signature
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, object_id)
        if obj is None:
            return self.missing(object_id)
        context = self.admin_site.each_context(request) | {"opts": self.opts}
        return TemplateResponse(request, self.page, context | self.context_of(request, obj))


class NearPaginator(Paginator):
    """Counts only PAGES_AHEAD pages: counting millions of rows takes seconds."""

    def __init__(self, object_list: Any, per_page: int, *, page: int) -> None:
        super().__init__(object_list, per_page)
        self._orders: QuerySet[Any] = object_list
        self._most = (page + PAGES_AHEAD) * per_page + 1

    @cached_property
    def count(self) -> int:
        """The number of rows, capped."""
        return self._orders[: self._most].count()
