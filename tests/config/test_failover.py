"""A request that meets a failover waits for the new leader; what may not run twice does not."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.http import HttpResponse

from config.failover import AwaitsLeader
from database import failover
from inventory.models import Product, StockItem
from launcher.engines import free_port
from orders.models import Order
from tests.factories import make_user
from tests.orders.conftest import an_order, client_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def as_alice(settings: Any) -> Any:
    settings.FAILOVER_WAIT_SECONDS = 5
    product = Product.objects.create(id=1, sku="TEE-1", name="T-shirt", price="29.99", weight_grams=100)
    StockItem.objects.create(product=product, on_hand=100)
    return client_of(make_user("alice"))


@pytest.fixture
def former_leader(as_alice: Any) -> Iterator[None]:
    """This thread's connection leads to a server that takes no writes any more; the next one does not."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    yield
    connection.close()


def order(client: Any, **headers: str) -> Any:
    body = an_order(items=[{"productId": 1, "quantity": 1}])
    return client.post("/api/orders", body, headers=headers)


@pytest.mark.usefixtures("former_leader")
def test_an_order_with_a_key_runs_again_at_the_new_leader(as_alice: Any) -> None:
    assert order(as_alice, **{"Idempotency-Key": "k"}).status_code == 201
    assert Order.objects.count() == 1


@pytest.mark.usefixtures("former_leader")
def test_an_order_without_a_key_does_not(as_alice: Any) -> None:
    answer = order(as_alice)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")


@pytest.mark.usefixtures("former_leader")
def test_without_patience_nothing_runs_again(as_alice: Any, settings: Any) -> None:
    settings.FAILOVER_WAIT_SECONDS = 0
    assert order(as_alice, **{"Idempotency-Key": "k"}).status_code == 503


def test_the_second_run_finds_the_request_as_the_first_one_did(rf: Any, settings: Any) -> None:
    settings.FAILOVER_WAIT_SECONDS = 5
    request = rf.get("/api/orders")
    request.user = AnonymousUser()
    users = []

    def view(request: Any) -> Any:
        users.append(request.user)
        request.user = "the one of its token"
        response: Any = HttpResponse(status=503)
        response.is_outage = len(users) == 1
        return response

    view.cls = object  # type: ignore[attr-defined]
    AwaitsLeader(lambda _: HttpResponse()).process_view(request, view, (), {})
    assert users == [AnonymousUser(), AnonymousUser()]


def test_a_connection_waits_for_a_server_that_takes_writes() -> None:
    parameters: dict[str, Any] = connection.get_connection_params()
    port, parameters["port"] = parameters["port"], free_port()
    timer = threading.Timer(0.3, parameters.update, kwargs={"port": port})
    timer.start()
    with failover.patience(10):
        own: Any = connection
        own._connect(parameters).close()
    timer.join()


def test_a_node_that_drains_is_not_ready(client: Any, settings: Any, tmp_path: Any) -> None:
    settings.DRAINING_FILE = str(tmp_path / "draining")
    assert client.get("/health/ready").status_code == 200
    (tmp_path / "draining").touch()
    assert client.get("/health/ready").status_code == 503


@pytest.mark.usefixtures("former_leader")
def test_a_step_of_a_worker_runs_again_at_the_new_leader() -> None:
    def step() -> None:
        Product.objects.create(id=2, sku="BAG-1", name="Bag", price="1.00", weight_grams=1)

    failover.through(step, seconds=5)
    assert Product.objects.filter(pk=2).exists()
