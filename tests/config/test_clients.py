"""The Python client places orders at a real server, from outside."""

import sys
import zipfile
from pathlib import Path

import httpx
import pytest
from django.contrib.auth.models import Permission
from drf_spectacular.renderers import OpenApiJsonRenderer

from clients import build
from orders.models import Order
from tests.factories import make_product, make_shipping, make_token, make_user
from tests.fixtures.described import description

needs_generator = pytest.mark.skipif(
    not (Path(sys.executable).parent / "openapi-python-client").exists(), reason="needs openapi-python-client"
)


@pytest.fixture
def goods(transactional_db, settings):
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES, "off")
    make_shipping(price="4.99")
    return make_product(price="10.00")


@pytest.fixture(scope="module")
def client_package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_bytes(OpenApiJsonRenderer().render(description(), renderer_context={}))
    wheel = build.build(folder / "openapi.json", folder / "wheels")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    sys.path.insert(0, str(folder / "installed"))
    yield
    sys.path.remove(str(folder / "installed"))


class LosesTheFirstAnswer(httpx.HTTPTransport):
    """Does what a bad connection does: the server has the order, the client has no answer."""

    lost = 0

    def handle_request(self, request):
        response = super().handle_request(request)
        if request.method == "POST" and not self.lost:
            self.lost += 1
            response.close()
            raise httpx.ReadError("lost")
        return response


@needs_generator
def test_the_client_places_reads_lists_and_cancels(client_package, goods, live_server):
    from order_pipeline_client import Refused, Shop, models, repeating  # type: ignore[import-not-found]  # noqa: PLC0415

    def an_order(quantity=2):
        line = models.NewLineBySku(sku=goods.sku, quantity=quantity)
        return models.NewOrderRequestByCustomerName(customer_name="Jane", items=[line])

    repeating._pause = lambda attempt: 0.0
    transport = LosesTheFirstAnswer()
    buyer = make_user()
    buyer.user_permissions.add(Permission.objects.get(codename="price_order"))
    with Shop(live_server.url, make_token(buyer), transport=transport) as shop:
        order = an_order()
        order.hold = True
        placed = shop.place(order)
        assert (transport.lost, Order.objects.count()) == (1, 1)
        order.expected_total = shop.quote(order).total_amount
        assert (order.expected_total, placed.estimated_total_amount) == (24.99, 24.99)
        others = [shop.place(an_order(quantity)).id for quantity in (1, 3)]

        assert shop.order(placed.order_number).uuid == placed.uuid
        assert [each.id for each in shop.orders(page_size=2)] == [*reversed(others), placed.id]
        assert [event.type_ for event in shop.events(placed.id)] == ["order_placed"]
        with pytest.raises(Refused) as refused:
            shop.cancel(placed.id, if_match='"1-0000000000000000"')
        assert (refused.value.status, refused.value.code) == (412, "precondition_failed")
        done = shop.cancel(placed.id, reason="Changed her mind", if_match=shop.etag_of(placed.id))
        assert (done.status, done.reason) == ("Cancelled", "Changed her mind")
        priced = an_order()
        priced.adjustments = [
            models.NewCharge(kind=models.NewChargeKindEnum.FEE, code="WRAPPING", amount=2.0),
            models.NewDiscount(kind=models.NewDiscountKindEnum.DISCOUNT, code="WELCOME5", amount=-5.0),
        ]
        assert shop.quote(priced).total_amount == 21.99
        order.expected_total = 1.0
        with pytest.raises(Refused) as refused:
            shop.place(order)
        assert refused.value.details[0]["current"] == 24.99
