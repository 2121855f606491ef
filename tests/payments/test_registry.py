"""Gateways by name: built in, from the settings, from entry points; a row keeps the gateway that has its money."""

from decimal import Decimal

import pytest

from config.checks import gateways_load
from orders import commands
from orders.models import Journey
from payments import calls, ledger
from payments.gateways import GatewayUnknown, gateway, names_in_use
from payments.gateways.in_process import InProcessGateway, Memory
from payments.ledger import Kind
from payments.models import Transaction
from payments.talking import hold_all
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

MEMORY = Memory()


class OneOfAShop(InProcessGateway):
    """A gateway from another package."""

    def __init__(self) -> None:
        super().__init__(MEMORY)


PATH = f"{__name__}.OneOfAShop"


def test_a_gateway_is_found_by_the_path_in_the_settings(settings):
    settings.PAYMENT_GATEWAYS = {"acme": PATH}

    assert isinstance(gateway("acme"), OneOfAShop)
    assert names_in_use() == [settings.PAYMENT_GATEWAY, "acme"]


def test_a_gateway_that_is_gone_stops_the_calls_to_others_too(settings):
    """Before any is made: the step that fails is run again by halves."""
    settings.PAYMENT_GATEWAYS = {"acme": PATH}
    sent = []

    def send(gateway_name, talk):
        sent.append(gateway_name)
        return None
        yield

    names = ["acme", "gone"]
    with pytest.raises(GatewayUnknown):
        hold_all(send, names, gateways=names, patience=1, on_late=lambda _: None)
    assert sent == []


@pytest.mark.parametrize("path", ["", "nowhere.at_all.Gateway"])
def test_a_gateway_that_nobody_has_stops_the_boot(settings, path):
    settings.PAYMENT_GATEWAYS = {"lost": path}

    with pytest.raises(GatewayUnknown):
        gateway("lost")
    assert [error.id for error in gateways_load()] == ["config.E010"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("providers")
class TestTheRowsGateway:
    """After the shop has changed its default gateway, money goes back where it came from."""

    def test_a_refund_goes_through_the_gateway_of_the_capture(self, settings):
        make_shipping()
        settings.PAYMENT_GATEWAYS = {"acme": PATH}
        settings.PAYMENT_GATEWAY = "acme"
        order = make_order((make_product(units=5), 1))
        work_off()
        assert Journey.objects.get(order_id=order.order_id).status == "confirmed"

        settings.PAYMENT_GATEWAY = "http"
        commands.cancel_order(order_id=order.order_id, reason="Changed my mind")
        work_off()

        assert Journey.objects.get(order_id=order.order_id).status == "cancelled"
        rows = Transaction.objects.filter(order_id=order.order_id)
        assert {(row.kind, row.gateway, row.state) for row in rows} == {
            (kind, "acme", "succeeded") for kind in ("authorize", "capture", "refund")
        }
        (line,) = (line for line in MEMORY.lines() if line.reference == str(order.uuid))
        assert line.captured == line.refunded > 0

    def test_what_was_sent_without_an_answer_is_looked_up_at_its_own_gateway(self, settings):
        make_shipping()
        order = make_order((make_product(units=5), 1))
        settings.PAYMENT_GATEWAYS = {"acme": PATH}
        request = calls.Request(
            order.order_id, str(order.uuid), Decimal(15), "USD", "tok_demo", gateway="acme", number=1
        )
        (prepared,) = ledger.prepare(Kind.AUTHORIZE, ledger.listed([request]))
        assert prepared.gateway == "acme"

        (again,) = ledger.prepare(Kind.AUTHORIZE, ledger.listed([request._replace(gateway="")]))
        assert (again.is_new, again.gateway) == (False, "acme")
