"""URLs of health, metrics and system status."""

from django.urls import path

from monitoring import views

urlpatterns = [
    path("health", views.health_all),
    path("health/live", views.health_live),
    path("health/ready", views.health_ready),
    path("metrics", views.metrics_for_prometheus),
    path("api/system/status", views.SystemStatus.as_view()),
    path("api/system/nodes", views.SystemNodes.as_view()),
    path("api/system/metrics", views.SystemMetrics.as_view()),
]
