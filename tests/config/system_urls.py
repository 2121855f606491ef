"""The system's addresses, without the API's; pages that say what went wrong lead to the board."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("monitoring.urls")),
    path("admin/", admin.site.urls),
    path("", include("board.urls")),
]
