"""What the hourly clean-up deletes, and what it has to leave alone."""

from datetime import timedelta

import pytest
from django.conf import settings

from api.models import IdempotencyKey
from orders.maintenance import retention
from scheduling.slots import database_now

pytestmark = pytest.mark.django_db


def keep_key(name: str, *, age: timedelta) -> None:
    IdempotencyKey.objects.create(
        owner_id=1,
        key=name,
        request_hash=b"0",
        status_code=201,
        answer={},
        created_at=database_now() - age,
    )


def test_keys_that_may_still_be_repeated_are_kept():
    """A key deleted too early lets a repeated POST place a second order."""
    keep_key("fresh", age=timedelta(minutes=1))
    keep_key("nearly expired", age=timedelta(days=settings.IDEMPOTENCY_KEY_DAYS) - timedelta(minutes=1))
    keep_key("expired", age=timedelta(days=settings.IDEMPOTENCY_KEY_DAYS) + timedelta(minutes=1))

    deleted = retention.clean(now=database_now())

    assert deleted["idempotency keys"] == 1
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"fresh", "nearly expired"}
