"""Notifications on the operators' desk: to look at, and to send again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from notifications.delivery import send_again
from notifications.models import Notification


@admin.register(Notification)
class NotificationAdmin(admin.ModelAdmin):
    """Read-only: the pipeline owns the fields."""

    list_display = (
        "id",
        "order",
        "kind",
        "channel",
        "recipient",
        "state",
        "attempts",
        "failure",
        "created_at",
    )
    list_filter = ("state", "kind", "channel")
    search_fields = ("=recipient", "=order__id")
    list_select_related = ("order",)
    show_full_result_count = False
    actions = ["send_again"]

    @admin.action(description="Send again", permissions=["change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        """Have the chosen e-mails sent once more."""
        count = send_again(queryset)
        self.message_user(request, f"{count} e-mails will be sent again.", messages.SUCCESS)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        """Every field."""
        return [field.name for field in self.model._meta.fields]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Nobody makes one up."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody makes one unsaid."""
        return False
