"""Who asks, and permissions that views of every app share."""

from django.contrib.auth.models import User
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.schema import refusals

FORBIDDEN = refusals(_403="permission_denied")


def user_of(request: Request) -> User:
    """Return the authenticated user of a request; for views whose permissions require one."""
    assert isinstance(request.user, User)
    return request.user


def staff_with(*permissions: str) -> type[BasePermission]:
    """Return the permission class of views that are for staff with these permissions."""

    class StaffWith(BasePermission):
        """Staff who have them."""

        message = f"Only staff with the permission {' and '.join(permissions)} may do this."

        def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002 - DRF's signature
            """Whether this user may."""
            return bool(request.user.is_staff and request.user.has_perms(permissions))

    return StaffWith
