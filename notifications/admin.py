"""Notifications, subscriptions and deliveries in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from notifications.delivery import resend
from notifications.models import Delivery, Notification, Subscription
from notifications.outgoing import NotAllowed, check_url
from notifications.webhooks import SWITCH_ON_FIELDS, redeliver, switch_on

# A subscription's health: read-only.
STANDING = (
    "owner",
    "failures",
    "failing_since",
    "retry_at",
    "switched_off_at",
    "switched_off_reason",
    "owner_notified_at",
)


class RecordAdmin(admin.ModelAdmin):
    """Base of records that change only by actions."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        return [field.name for field in self.model._meta.fields]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Refuse: the pipeline creates them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Refuse: retention or the subscription's deletion removes them."""
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

    @admin.action(description="Resend selected mails", permissions=["change"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        count = resend(queryset, user_id=int(request.user.pk or 0))
        self.message_user(
            request, f"{count} e-mail{'' if count == 1 else 's'} will be resent.", messages.SUCCESS
        )


class SubscriptionForm(forms.ModelForm):
    class Meta:
        model = Subscription
        fields = ("url", "events", "active", "signature", "secret")

    def clean_url(self) -> str:
        """Return the address; ValidationError if it would never be called."""
        try:
            check_url(self.cleaned_data["url"])
        except NotAllowed as problem:
            raise forms.ValidationError(str(problem)) from None
        return str(self.cleaned_data["url"])


@admin.register(Subscription)
class SubscriptionAdmin(admin.ModelAdmin):
    form = SubscriptionForm
    list_display = (
        "url",
        "events",
        "active",
        "failing_since",
        "switched_off_at",
        "switched_off_reason",
        "owner",
    )
    list_filter = ("active",)
    list_select_related = ("owner",)
    fields = ("url", "events", "active", "signature", "secret", *STANDING)
    readonly_fields = STANDING
    actions = ["switch_on"]

    def save_model(self, request: HttpRequest, obj: Subscription, form: Any, change: bool) -> None:  # noqa: FBT001
        """Set the owner; reset failures on reactivation."""
        if not change:
            obj.owner_id = request.user.pk
        if change and obj.active and "active" in form.changed_data:
            switch_on(obj)
        super().save_model(request, obj, form, change)

    @admin.action(description="Switch on", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        for subscription in queryset:
            switch_on(subscription)
            subscription.save(update_fields=SWITCH_ON_FIELDS)
            self.log_change(request, subscription, "Switched on.")
        self.message_user(request, "They are switched on.", messages.SUCCESS)


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

    @admin.action(description="Redeliver selected deliveries", permissions=["change"])
    def redeliver(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        count = redeliver(queryset, user_id=int(request.user.pk or 0))
        deliveries = "1 delivery" if count == 1 else f"{count} deliveries"
        self.message_user(request, f"{deliveries} will be redelivered.", messages.SUCCESS)
