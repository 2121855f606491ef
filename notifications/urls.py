"""URLs below /api/notifications, without trailing slashes."""

from django.urls import path

from notifications import views

app_name = "notifications"
urlpatterns = [
    path("", views.Notifications.as_view(), name="notifications"),
    path("/<int:notification_id>/send-again", views.SendAgain.as_view(), name="send-again"),
    path("/<int:notification_id>/read", views.ReadNotification.as_view(), name="read"),
]
