"""Notifications on the operators' desk: to look at, and to send again."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from notifications.delivery import resend
from notifications.models import Delivery, Notification, Subscription
from notifications.outgoing import NotAllowed, check_url
from notifications.webhooks import redeliver


class RecordAdmin(admin.ModelAdmin):
    """What was told to whom: to be looked at, and acted on only by the page's actions."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        """Every field."""
        return [field.name for field in self.model._meta.fields]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Nobody makes one up."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """They go when they are old, or with their subscription."""
        return False


@admin.register(Notification)
class NotificationAdmin(RecordAdmin):
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
    actions = ["resend"]

    @admin.action(description="Send again", permissions=["change"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        """Have the chosen e-mails sent once more."""
        count = resend(queryset, user_id=int(request.user.pk or 0))
        self.message_user(request, f"{count} e-mails will be sent again.", messages.SUCCESS)


class SubscriptionForm(forms.ModelForm):
    """Refuses addresses that would never be called."""

    class Meta:
        model = Subscription
        fields = ("url", "events", "active", "secret")

    def clean_url(self) -> str:
        """Return the address, or say what is wrong with it."""
        try:
            check_url(self.cleaned_data["url"])
        except NotAllowed as problem:
            raise forms.ValidationError(str(problem)) from None
        return str(self.cleaned_data["url"])


@admin.register(Subscription)
class SubscriptionAdmin(admin.ModelAdmin):
    """Who is told what happens to orders."""

    form = SubscriptionForm
    list_display = ("url", "events", "active", "created_at")
    list_filter = ("active",)


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    """Read-only: the pipeline owns the fields."""

    list_display = (
        "id",
        "subscription",
        "order_id",
        "event",
        "state",
        "attempts",
        "status_code",
        "failure",
        "created_at",
    )
    list_filter = ("state", "subscription")
    search_fields = ("=order_id",)
    list_select_related = ("subscription",)
    show_full_result_count = False
    actions = ["redeliver"]

    @admin.action(description="Tell again", permissions=["change"])
    def redeliver(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Have the chosen deliveries that ended told once more."""
        count = redeliver(queryset, user_id=int(request.user.pk or 0))
        self.message_user(request, f"{count} will be told again.", messages.SUCCESS)
