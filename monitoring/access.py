"""Who may look behind the scenes."""

import ipaddress
import secrets

from django.conf import settings
from django.http import HttpRequest
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from orders.permissions import sees_all_orders


class IsStaffOrDemo(BasePermission):
    """Staff who may view orders; in demo mode anybody: the demo customer is the newcomer at the keyboard."""

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002 - DRF's signature
        return bool(
            request.user
            and request.user.is_authenticated
            and (sees_all_orders(request.user) or settings.DEMO)
        )


def may_see_details(request: HttpRequest) -> bool:
    """Whether a request may read metrics and the details of health: by token, from this machine, or in DEBUG.

    Not by session: these pages must answer while the database, where sessions live, is away.
    """
    return settings.DEBUG or _has_token(request) or _is_from_this_machine(request)


def _has_token(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "")
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    return bool(settings.METRICS_TOKEN) and secrets.compare_digest(given.encode(), wanted.encode())


def _is_from_this_machine(request: HttpRequest) -> bool:
    """Whether the peer is on loopback and is no proxy that speaks for somebody else."""
    if request.headers.get("X-Forwarded-For") or request.headers.get("Forwarded"):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
