"""Permissions of the monitoring endpoints."""

import ipaddress
import secrets

from django.conf import settings
from django.http import HttpRequest
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from orders.permissions import sees_all_orders


class IsStaffOrDemo(BasePermission):
    """Staff who may view orders; every user in a demo."""

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - DRF's signature
        return bool(
            request.user
            and request.user.is_authenticated
            and (sees_all_orders(request.user) or settings.DEMO)
        )


def may_see_details(request: HttpRequest) -> bool:
    """Whether a request may read metrics and health details. Not by session, which needs the database."""
    return settings.DEBUG or _has_token(request) or _is_from_this_machine(request)


def _has_token(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "")
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    return bool(settings.METRICS_TOKEN) and secrets.compare_digest(given.encode(), wanted.encode())


def _is_from_this_machine(request: HttpRequest) -> bool:
    if request.headers.get("X-Forwarded-For") or request.headers.get("Forwarded"):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
