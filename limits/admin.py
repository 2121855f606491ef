"""Account limits in the admin site."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from limits import overrides
from limits.models import AccountLimit


@admin.register(AccountLimit)
class AccountLimitAdmin(admin.ModelAdmin):
    list_display = ("user", "writes", "reads", "bulk_lines", "reason", "changed_at")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    raw_id_fields = ("user",)
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002
        return ("user",) if obj else ()

    def save_model(self, request: HttpRequest, obj: AccountLimit, form: Any, change: bool) -> None:  # noqa: FBT001
        super().save_model(request, obj, form, change)
        overrides.forget()

    def delete_model(self, request: HttpRequest, obj: AccountLimit) -> None:
        super().delete_model(request, obj)
        overrides.forget()
