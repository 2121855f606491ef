"""The addresses at which the system tells how it is."""

from django.urls import path

from config.system import views

urlpatterns = [
    path("health", views.health_all),
    path("health/live", views.health_live),
    path("health/ready", views.health_ready),
]
