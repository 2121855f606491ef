"""URLs below /api/live, without trailing slashes."""

from django.urls import path

from live import views

app_name = "live"
urlpatterns = [
    path("/tickets", views.Tickets.as_view(), name="tickets"),
    path("/tickets/renew", views.RenewOrderTicket.as_view(), name="renew-ticket"),
]
