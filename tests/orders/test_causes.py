"""Stuck orders grouped by cause, in the admin, and acted on as a group."""

import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import queries
from orders.models import Order
from orders.operators import money_at_risk, stuck_reasons
from orders.reporting import stats
from orders.status import Status
from payments.models import Transaction
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_transaction, make_user
from tests.fixtures.pipeline import work_off

pytestmark = pytest.mark.django_db(transaction=True)

CLAIMED = "attention:claimed N times without getting anywhere"
PROVIDER = "waiting:payment_provider"


@pytest.fixture(autouse=True)
def plain_http(settings):
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def operator(client) -> User:
    user = make_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_order", "operate_order"]))
    client.force_login(user)
    return user


def stuck(count: int, **columns: str) -> list[Order]:
    """Place a number of orders that share a cause of being stuck."""
    product = make_product(units=1000)
    ids = [make_order((product, 2)).order_id for _ in range(count)]
    values = {"status": "processing", "due_at": None, "stock": "reserved"} | columns
    assignments = ", ".join(f"{name} = %s" for name in values)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE orders_journey SET {assignments} WHERE order_id = ANY(%s)",  # noqa: S608
            [*values.values(), ids],
        )
        cursor.execute(
            "INSERT INTO inventory_reservation (order_id, product_id, quantity)"
            " SELECT unnest(%s::bigint[]), %s, 2",
            [ids, product.pk],
        )
        cursor.execute(
            "UPDATE inventory_stockitem SET reserved = %s WHERE product_id = %s", [2 * count, product.pk]
        )
    return list(Order.objects.filter(pk__in=ids).select_related("journey").order_by("-pk"))


def statuses(orders: Sequence[Order]) -> set[str]:
    found = Order.objects.filter(pk__in=[order.pk for order in orders])
    return set(found.values_list("journey__status", flat=True))


def test_orders_are_told_by_cause_with_their_number_and_amount():
    stuck(2, attention="claimed 5 times without getting anywhere")
    stuck(1, attention="claimed 7 times without getting anywhere")
    stuck(1, waiting_for="payment_provider")
    person, provider = stuck_reasons.groups()
    assert (person.cause, person.orders, person.needs_person) == (CLAIMED, 3, True)
    assert str(person.amounts["USD"]) == "60.00"
    assert person.title == "claimed 7 times without getting anywhere, and others like it"
    assert (provider.cause, provider.orders, provider.needs_person) == (PROVIDER, 1, False)
    assert provider.title == "waiting for the payment provider"


def test_the_start_page_shows_what_keeps_orders_and_leads_to_them(client, operator):
    orders = stuck(2, attention="claimed 5 times without getting anywhere")
    make_order((make_product(), 1))
    page = client.get("/admin/").content.decode()
    assert "40.00 USD" in page
    address = page.split("?cause=")[1].split('"')[0]
    listed = client.get(f"/admin/orders/order/?cause={address}").context["cl"].result_list
    assert [order.pk for order in listed] == [order.pk for order in orders]


def test_people_see_real_values_and_never_the_key_of_the_group(client, operator):
    stuck(1, attention="Refund of 34.98 USD refused: only 24.98 is left.")
    cause = stuck_reasons.groups()[0].cause
    pages = ("/admin/", "/admin/orders/order/operate/retry/", "/admin/orders/order/")
    for page in pages:
        text = client.get(page, {"cause": cause} if page != "/admin/" else {}).content.decode()
        assert "efund of 34.98 USD refused: only 24.98 is left" in text, page
        assert "N.N USD" not in re.sub(r"<[^>]*>", "", text)


def test_the_start_page_says_so_when_nothing_is_stuck(client, operator):
    assert "No stuck orders" in client.get("/admin/").content.decode()


def test_a_cause_is_acted_on_as_a_whole_once_its_effects_were_shown(client, operator):
    stuck(12, attention="poison")
    page = client.get("/admin/orders/order/operate/cancel/?cause=attention:poison").content.decode()
    assert "Releases 24 units: 12 orders" in page
    assert "No payment to reverse: 12 orders" in page


def test_a_cause_is_cancelled_with_who_when_and_why(client, operator, providers):
    orders = stuck(12, attention="poison")
    form = {"cause": "attention:poison", "order": ",".join(str(order.pk) for order in orders)}
    answer = client.post(
        "/admin/orders/order/operate/cancel/", form | {"reason": "A bad batch of goods."}, follow=True
    )
    assert [str(message) for message in answer.context["messages"]] == ["12 orders: each is cancelling."]
    work_off()
    assert statuses(orders) == {Status.CANCELLED}
    entries = LogEntry.objects.all()
    assert {(e.user, e.get_change_message()) for e in entries} == {
        (operator, "Cancel (A bad batch of goods.): is cancelling.")
    }
    assert len(entries) == 12


def test_what_is_done_is_not_done_again(client, operator):
    orders = stuck(2, attention="poison")
    form = {"cause": "attention:poison", "order": ",".join(str(order.pk) for order in orders)}
    client.post("/admin/orders/order/operate/retry/", form)
    sequences = list(Order.objects.values_list("journey__sequence", flat=True))
    answer = client.post("/admin/orders/order/operate/retry/", form, follow=True)
    assert "the orders have changed meanwhile" in answer.content.decode()
    assert list(Order.objects.values_list("journey__sequence", flat=True)) == sequences
    assert LogEntry.objects.count() == 2


def test_orders_that_came_in_after_the_preview_are_left_alone(client, operator):
    shown = stuck(1, attention="poison")
    later = stuck(1, attention="poison")
    client.post(
        "/admin/orders/order/operate/retry/", {"cause": "attention:poison", "order": str(shown[0].pk)}
    )
    assert stuck_reasons.groups()[0].orders == len(later)


def test_a_thousand_orders_cost_hardly_more_statements_than_ten(client, operator):
    def statements(count: int) -> int:
        ids = ",".join(str(order.pk) for order in stuck(count, attention=f"poison {'x' * count}"[:60]))
        with CaptureQueriesContext(connection) as captured:
            client.post("/admin/orders/order/operate/retry/", {"order": ids})
        return len(captured)

    assert statements(60) == statements(11)


def test_only_operators_act_on_a_cause(client):
    orders = stuck(1, attention="poison")
    onlooker = make_user(is_staff=True)
    onlooker.user_permissions.set(Permission.objects.filter(codename="view_order"))
    client.force_login(onlooker)
    assert "Retry all" not in client.get("/admin/").content.decode()
    answer = client.post("/admin/orders/order/operate/retry/", {"cause": "attention:poison"})
    assert answer.status_code == 403
    assert orders[0].journey.attention == "poison"


def test_our_own_canaries_are_listed_only_on_request(client, operator):
    queries.forget_canary_owner()
    ours = make_order((make_product(), 1), owner=make_user(queries.CANARY_USERNAME))
    theirs = make_order((make_product(), 1))

    def listed(query: str) -> list[str]:
        found = client.get(f"/admin/orders/order/{query}").context["cl"].result_list
        return [order.number for order in found]

    assert listed("") == [theirs.number]
    assert listed("?whose=canaries") == [ours.number]
    assert listed("?whose=everybody") == [theirs.number, ours.number]
    queries.forget_canary_owner()


def test_nonsense_is_no_cause(client, operator):
    make_shipping()
    stuck(1, attention="poison")
    for cause in ("", "attention:", "poison", "waiting:nothing"):
        listed = client.get(f"/admin/orders/order/operate/retry/?cause={cause}&order=")
        assert "Nothing to do." in listed.content.decode(), cause
    assert client.get("/admin/orders/order/?cause=attention:%00").status_code == 400


def test_our_own_canaries_are_in_no_sum(client, operator):
    queries.forget_canary_owner()
    (order,) = stuck(1, attention="poison")
    canary = make_user(queries.CANARY_USERNAME)
    assert stats.attention()[0] == 1
    Order.objects.filter(pk=order.pk).update(owner_id=canary.pk)
    make_transaction(
        order, "authorize", state=Transaction.State.UNKNOWN, started_at=database_now() - timedelta(minutes=5)
    )
    queries.forget_canary_owner()
    assert stats.attention() == (0, [])
    assert money_at_risk.sums_at_risk() == []
    assert money_at_risk.at_risk() == []
    operator.user_permissions.add(Permission.objects.get(codename="view_transaction"))
    assert client.get("/admin/payments/transactions/").context["transactions"] == []
    Order.objects.filter(pk=order.pk).update(owner_id=operator.pk)
    assert len(money_at_risk.at_risk()) == 1
    queries.forget_canary_owner()
