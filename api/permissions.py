"""Shared permissions of views."""

from django.contrib.auth.models import User
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.schema import refusals

FORBIDDEN = refusals(_403="permission_denied")


def user_of(request: Request) -> User:
    """Return the authenticated user, for views that require one."""
    assert isinstance(request.user, User)
    return request.user


def staff_with(*permissions: str) -> type[BasePermission]:
    class StaffWith(BasePermission):
        message = f"Only staff with the permission {' and '.join(permissions)} may do this."

        def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002 - DRF's signature
            return bool(request.user.is_staff and request.user.has_perms(permissions))

    return StaffWith
