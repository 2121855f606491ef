"""Steps as Celery tasks."""

import json
from base64 import b64decode
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from celery import Task, current_app
from celery._state import _task_stack  # type: ignore[attr-defined]
from celery.exceptions import Retry
from django.conf import settings

from orders import batches, steps, tasks  # noqa: F401 - registers the steps
from orders.batches import Progress
from orders.payment import handover
from tests.factories import make_order, make_product, make_shipping

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers")]


@pytest.fixture
def authorize() -> Iterator[Task]:
    """The task as a worker runs it: one leg of a chord."""
    task = current_app.tasks["payments.authorize_payment"]
    _task_stack.push(task)
    task.push_request(
        id=str(uuid4()), group="of-legs", called_directly=False, delivery_info={"routing_key": "payments"}
    )
    yield task
    task.pop_request()
    _task_stack.pop()


@pytest.fixture
def queue() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.BROKER_URL) as client:
        client.delete("payments")
        yield client
        client.delete("payments")


def test_a_batch_that_lets_others_pass_is_the_same_leg_of_its_chord_at_the_end_of_the_queue(
    authorize: Task, queue: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_shipping()
    make_order((make_product(), 1))
    (claimed,) = batches.claim()
    steps.quote_shipping(batch_id=claimed.batch_id)
    queue.lpush("payments", "that of another batch")
    monkeypatch.setattr(handover, "room", lambda wanted, until, is_bulk: 0)

    with pytest.raises(Retry):
        authorize.run(batch_id=claimed.batch_id)

    newest, *others = queue.lrange("payments", 0, -1)
    assert others == [b"that of another batch"]
    message = json.loads(newest)
    assert message["headers"]["id"] == authorize.request.id
    assert message["headers"]["group"] == "of-legs"
    assert message["headers"]["eta"] is None
    _, kwargs, _ = json.loads(b64decode(message["body"]))
    assert kwargs["batch_id"] == claimed.batch_id
    assert Progress._make(kwargs["progress"]).orders == 0
