"""Issuing and revoking API tokens."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Now

from accounts.lookup import PREFIX
from accounts.models import ApiToken

MOST_PER_ACCOUNT = 100
# Until then clients get the reason of the refusal.
ENDED_ARE_KEPT = timedelta(days=30)

# Processes of an earlier version, with clear-text tokens in DRF's table, may run this long after the migration.
FORMER_MAY_RUN = timedelta(days=1)
IS_THERE = "SELECT to_regclass('authtoken_token') IS NOT NULL"
IS_OVER = """
    SELECT applied < %s FROM django_migrations WHERE app = 'accounts' AND name = '0001_api_tokens'
"""
ADOPT = """
    INSERT INTO accounts_apitoken (user_id, name, digest, hint, password_mark, created_at, expires_at)
    SELECT t.user_id, '', encode(sha256(convert_to(t.key, 'UTF8')), 'hex'), left(t.key, 4) || '…' || right(t.key, 4),
           encode(sha256(convert_to(u.password, 'UTF8')), 'hex'), t.created, now() + make_interval(days => %s)
    FROM {} t JOIN auth_user u ON u.id = t.user_id
    ON CONFLICT (digest) DO NOTHING
"""
COPY = ADOPT.format("authtoken_token")
MOVE = "WITH moved AS (DELETE FROM authtoken_token RETURNING key, user_id, created) {}".format(  # noqa: S608 - both parts are constants
    ADOPT.format("moved")
)


def issue(user: User, *, name: str = "", expires_at: datetime | None) -> tuple[ApiToken, str]:
    """Issue a token. Return it as stored, and in clear text. Revokes the least recently used of too many."""
    token = PREFIX + secrets.token_urlsafe(32)
    stored = ApiToken.objects.create(
        user=user,
        name=name,
        digest=hashlib.sha256(token.encode()).hexdigest(),
        hint=f"{token[:8]}…{token[-4:]}",
        password_mark=hashlib.sha256(user.password.encode()).hexdigest(),
        expires_at=expires_at,
    )
    _revoke_least_used(user)
    return stored, token


def default_end(now: datetime) -> datetime:
    return now + timedelta(days=settings.API_TOKEN_DAYS)


def valid_tokens(user: User) -> QuerySet[ApiToken]:
    mark = hashlib.sha256(user.password.encode()).hexdigest()
    return user.api_tokens.filter(
        Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None, password_mark=mark
    )


def revoke(tokens: QuerySet[ApiToken]) -> int:
    return tokens.filter(revoked_at=None).update(revoked_at=Now())


def _revoke_least_used(user: User) -> None:
    by_use = valid_tokens(user).order_by(Coalesce("last_used_at", "created_at").desc(), "-id")
    too_many = list(by_use.values_list("pk", flat=True)[MOST_PER_ACCOUNT:])
    if too_many:
        revoke(ApiToken.objects.filter(pk__in=too_many))


def adopt_former_tokens(*, now: datetime) -> int:
    """Store digests of former clear-text tokens, deleting those after a day. Return how many."""
    with connection.cursor() as cursor:
        cursor.execute(IS_THERE)
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(IS_OVER, [now - FORMER_MAY_RUN])
        is_over = cursor.fetchone()
        cursor.execute(MOVE if is_over and is_over[0] else COPY, [settings.API_TOKEN_DAYS])
        return int(cursor.rowcount)


def clean(*, now: datetime) -> int:
    """Adopt former tokens and delete long-ended ones. Return how many."""
    adopt_former_tokens(now=now)
    before = now - ENDED_ARE_KEPT
    return ApiToken.objects.filter(Q(revoked_at__lt=before) | Q(expires_at__lt=before)).delete()[0]
