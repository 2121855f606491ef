"""Lookup of a token's account. Imported by the settings, before models."""

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, connection

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# A prefix for secret scanners; forty hex digits in former tokens.
PREFIX = "opt_"
TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}|[0-9a-f]{{40}}")

USER_COLUMNS = [
    "id",
    "password",
    "last_login",
    "is_superuser",
    "username",
    "first_name",
    "last_name",
    "email",
    "is_staff",
    "is_active",
    "date_joined",
]
FIND = f"""
    SELECT t.id, t.revoked_at IS NOT NULL, t.expires_at <= clock_timestamp(),
           t.password_mark <> encode(sha256(convert_to(u.password, 'UTF8')), 'hex'),
           t.last_used_at IS NULL OR t.last_used_at < clock_timestamp() - interval '1 hour',
           {", ".join(f"u.{column}" for column in USER_COLUMNS)}
    FROM accounts_apitoken t JOIN auth_user u ON u.id = t.user_id WHERE t.digest = %s
"""  # noqa: S608 - names of our own
# To the hour: a busy token costs one write an hour.
NOTE_USE = """
    UPDATE accounts_apitoken SET last_used_at = clock_timestamp()
    WHERE id = %s AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 hour')
"""


class NotAccepted(Exception):
    """A refused token. `code` is stable, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Login:
    """An accepted token, as `request.auth`."""

    token_id: int
    digest: str


@dataclass(frozen=True, slots=True)
class Owner:
    """A token's account as a row: each request gets its own user object."""

    login: Login
    row: tuple[Any, ...]

    def user(self) -> "User":
        user: User = get_user_model().from_db(DEFAULT_DB_ALIAS, USER_COLUMNS, self.row)
        return user


def digest_of(token: str) -> str:
    """Return a token's digest; empty if malformed."""
    return hashlib.sha256(token.encode()).hexdigest() if TOKEN.fullmatch(token) else ""


def find_owner(digest: str) -> Owner:
    """Return a token's owner and record its use. Raises NotAccepted."""
    if not digest:
        raise NotAccepted("authentication_failed", "There is no such token.")
    with connection.cursor() as cursor:
        cursor.execute(FIND, [digest])
        found = cursor.fetchone()
        if found is None:
            raise NotAccepted("authentication_failed", "There is no such token.")
        token_id, is_revoked, is_expired, has_new_password, is_stale, *row = found
        _check(is_revoked=is_revoked, is_expired=is_expired, has_new_password=has_new_password)
        if is_stale:
            cursor.execute(NOTE_USE, [token_id])
    return Owner(Login(token_id, digest), tuple(row))


def _check(*, is_revoked: bool, is_expired: bool | None, has_new_password: bool) -> None:
    if is_revoked:
        raise NotAccepted("token_revoked", "This token was revoked.")
    if is_expired:
        raise NotAccepted("token_expired", "This token has expired. Get a new one.")
    if has_new_password:
        raise NotAccepted("token_revoked", "The account's password was changed, which ended this token.")
