"""The system's addresses alone."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("", include("config.system.urls")), path("admin/", admin.site.urls)]
