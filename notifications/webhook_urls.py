"""URLs below /api/webhooks, without trailing slashes."""

from django.urls import path

from notifications import webhook_views

app_name = "webhooks"
urlpatterns = [
    path("", webhook_views.Webhooks.as_view(), name="webhooks"),
    path("/<int:subscription_id>", webhook_views.OneWebhook.as_view(), name="webhook"),
    path("/<int:subscription_id>/test", webhook_views.TestDelivery.as_view(), name="test"),
    path("/<int:subscription_id>/deliveries", webhook_views.Deliveries.as_view(), name="deliveries"),
    path("/deliveries/<int:delivery_id>/redeliver", webhook_views.Redelivery.as_view(), name="redeliver"),
]
