"""URLs below /api/shipping, without trailing slashes."""

from django.urls import path

from shipping import views

urlpatterns = [
    path("/zones", views.Zones.as_view(), name="zones"),
    path("/zones/<int:zone_id>", views.OneZone.as_view(), name="zone"),
]
