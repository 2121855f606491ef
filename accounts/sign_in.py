"""Passwords where a second factor is required."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest

# Its form wants the one-time code as well.
DESK_LOGIN = "/admin/login/"


class PasswordBackend(ModelBackend):
    """Takes a password of staff at the desk's login only: neither the board nor a token is a way around the code."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> User | None:
        """Return the account, or None."""
        user = super().authenticate(request, username, password, **more)
        is_desk = request is not None and request.path_info.startswith(DESK_LOGIN)
        is_staff = bool(getattr(user, "is_staff", False) or getattr(user, "is_superuser", False))
        return user if is_desk or not is_staff else None
