"""Orders on the operators' desk."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders import commands
from orders.maintenance import archive
from orders.models import Order
from orders.reporting import stats
from orders.status import Status
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_user
from tests.fixtures.pipeline import work_off

pytestmark = pytest.mark.django_db(transaction=True)

CHANGELIST = "/admin/orders/order/"


@pytest.fixture
def operator(client) -> User:
    """A member of the staff who may see orders and act on them."""
    user = make_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_order", "operate_order"]))
    client.force_login(user)
    return user


@pytest.fixture
def confirmed(providers) -> Order:
    """An order of two laptops that is confirmed."""
    make_shipping()
    placed = make_order((make_product("Laptop"), 2))
    work_off()
    return order(placed)


def order(placed) -> Order:
    return Order.objects.select_related("journey").get(pk=placed.order_id)


def status_of(order_: Order) -> str:
    return Order.objects.select_related("journey").get(pk=order_.pk).journey.status


def listed(client, query: str = "") -> list[str]:
    """Return the numbers of the orders that the list shows."""
    answer = client.get(f"{CHANGELIST}{query}")
    assert answer.status_code == 200, answer
    return [shown.number for shown in answer.context["cl"].result_list]


def page_of(client, order_: Order) -> str:
    answer = client.get(reverse("admin:orders_order_change", args=[order_.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def said(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def operate(client, name: str, *orders: Order, **data: str):
    return client.post(
        reverse("admin:orders_order_operate", args=[name]),
        {"order": [o.pk for o in orders], **data},
        follow=True,
    )


# --- The list ---


def test_the_list_shows_the_latest_first(client, operator):
    orders = [make_order((make_product(), 1)) for _ in range(3)]
    assert listed(client) == [placed.number for placed in reversed(orders)]


def test_a_page_of_the_list_costs_a_fixed_number_of_queries(client, operator):
    product = make_product()

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            listed(client)
        return len(captured)

    for _ in range(3):
        make_order((product, 1))
    few = queries()
    for _ in range(20):
        make_order((product, 1))
    assert queries() == few


def test_the_list_never_counts_all_orders(client, operator):
    make_order((make_product(), 1))
    with CaptureQueriesContext(connection) as captured:
        listed(client)
    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"].upper()]
    assert counts
    assert all("LIMIT 301" in count for count in counts)


@pytest.mark.parametrize("what", ["number", "order_id", "uuid"])
def test_one_order_is_found_by_whatever_names_it(client, operator, what):
    wanted, _ = make_order((make_product(), 1)), make_order((make_product(), 1))
    assert listed(client, f"?q={getattr(wanted, what)}") == [wanted.number]


def test_orders_are_found_by_customer(client, operator):
    alice = make_order((make_product(), 1), customer_name="Alice Liddell")
    make_order((make_product(), 1), customer_name="Bob")
    assert listed(client, "?q=Alice+Liddell") == [alice.number]
    assert listed(client, "?q=alice") == [alice.number]


def test_orders_are_found_by_the_accounts_address(client, operator):
    owner = User.objects.create_user("carol", email="carol@example.com")
    carols = make_order((make_product(), 1), owner=owner)
    make_order((make_product(), 1))
    assert listed(client, "?q=Carol@example.com") == [carols.number]


@pytest.mark.parametrize(
    "term", ["ORD-1", "'", "%", "99999999999999999999", "ORD-20261121000000-99999999999999999999"]
)
def test_a_search_that_finds_nothing_is_no_error(client, operator, term):
    make_order((make_product(), 1))
    assert client.get(CHANGELIST, {"q": term}).status_code == 200


def test_orders_are_filtered_by_status_attention_waiting_and_country(client, operator):
    make_shipping(country="US")
    product = make_product()
    held, waiting, troubled = (
        make_order((product, 1), hold=name == "held") for name in ("held", "waiting", "troubled")
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_journey SET status = 'processing', waiting_for = 'payment_provider'"
            " WHERE order_id = %s",
            [waiting.order_id],
        )
        cursor.execute(
            "UPDATE orders_journey SET status = 'processing', attention = 'poison' WHERE order_id = %s",
            [troubled.order_id],
        )
    assert listed(client, "?status=pending") == [held.number]
    assert listed(client, "?waiting=payment_provider") == [waiting.number]
    assert listed(client, "?attention=needed") == [troubled.number]
    assert len(listed(client, "?country=US")) == 3
    assert len(listed(client, "?country=nonsense&status=nonsense")) == 3


def test_orders_are_filtered_by_when_they_were_placed(client, operator):
    old, new = make_order((make_product(), 1)), make_order((make_product(), 1))
    Order.objects.filter(pk=old.order_id).update(placed_at=old.placed_at - timedelta(days=2))
    assert listed(client, "?placed=day") == [new.number]
    assert len(listed(client, "?placed=week")) == 2


@pytest.mark.parametrize(
    "query", ["?status=cancelling", "?attention=needed", "?waiting=payment_outcome", "?refunded=refunded"]
)
def test_what_is_under_way_is_filtered_through_partial_indexes(client, operator, query):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_journey (order_id, status, sequence, attempts, stock, shipping, payment,"
            " outcome, reason, completion_requested, waiting_for, attention)"
            " SELECT n, 'confirmed', 1, 0, '', '', '', '', '', false, '', '' FROM generate_series(1, 20000) n"
        )
        cursor.execute("ANALYZE orders_journey")
    with CaptureQueriesContext(connection) as captured:
        listed(client, query)
    (page,) = [query["sql"] for query in captured if query["sql"].startswith('SELECT "orders_order"."id"')]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {page}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "orders_not_confirmed" in plan or "orders_attention" in plan, plan


# --- One order ---


def test_an_orders_page_tells_its_whole_story(client, operator, confirmed):
    page = page_of(client, confirmed)
    for expected in (
        confirmed.number,
        str(confirmed.uuid),
        "Laptop",
        "25.00 USD",
        "Authorize",
        "Capture",
        "Stock reserved",
    ):
        assert expected in page


def test_an_order_that_waits_explains_itself(client, operator):
    placed = make_order((make_product(), 1))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_journey SET status = 'processing', waiting_for = 'payment_provider'")
    assert "The payment provider cannot be reached." in page_of(client, order(placed))


def test_a_customer_cannot_put_a_script_into_the_page(client, operator):
    placed = make_order((make_product(), 1), customer_name="<script>alert(1)</script>")
    assert "<script>alert(1)" not in page_of(client, order(placed))
    assert "<script>alert(1)" not in client.get(CHANGELIST).content.decode()


def test_pages_of_ours_need_no_inline_script_or_style(client, operator, confirmed):
    for page in (
        page_of(client, confirmed),
        client.get("/admin/orders/order/operate/cancel/?order=1").content.decode(),
    ):
        content = page.split('<div id="content-main">')[1]
        assert "<script" not in content
        assert " style=" not in content
        assert " onclick=" not in content


def test_orders_are_neither_added_nor_changed_nor_deleted(client, confirmed):
    client.force_login(User.objects.create_superuser("admin"))
    assert client.get(f"{CHANGELIST}add/").status_code == 403
    assert client.post(f"{CHANGELIST}{confirmed.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{CHANGELIST}{confirmed.pk}/change/", {"currency": "EUR"}).status_code == 200
    assert Order.objects.get(pk=confirmed.pk).currency == "USD"


def test_an_order_that_does_not_exist_is_not_found(client, operator):
    assert client.get(f"{CHANGELIST}999/change/").status_code == 404
    assert client.get(f"{CHANGELIST}nonsense/change/").status_code == 404


# --- Acting ---


def test_cancelling_asks_first_and_tells_what_will_go_back(client, operator, confirmed):
    page = client.get(f"/admin/orders/order/operate/cancel/?order={confirmed.pk}").content.decode()
    assert "Refunds 25.00 USD." in page
    assert "Releases 2 units." in page
    assert status_of(confirmed) == Status.CONFIRMED


def test_cancelling_gives_money_and_units_back(client, operator, confirmed):
    operate(client, "cancel", confirmed, reason="The customer called.")
    assert status_of(confirmed) == Status.CANCELLING
    work_off()
    assert status_of(confirmed) == Status.CANCELLED
    page = page_of(client, confirmed)
    assert "Payment returned" in page
    assert "Cancelled, refunded" in page
    for query, shown in {"": 1, "?refunded=refunded": 1, "?refunded=partly": 0}.items():
        listed = client.get(f"/admin/orders/order/{query}").content.decode()
        assert listed.count("Cancelled, refunded") == shown


def test_cancelling_wants_a_reason(client, operator, confirmed):
    answer = operate(client, "cancel", confirmed, reason="  ")
    assert said(answer) == ["A reason is required. It is recorded with the order."]
    assert status_of(confirmed) == Status.CONFIRMED


def test_who_did_what_and_why_is_noted(client, operator, confirmed):
    operate(client, "cancel", confirmed, reason="The customer called.")
    (entry,) = LogEntry.objects.all()
    assert (entry.user, entry.object_id) == (operator, str(confirmed.pk))
    assert "Cancel (The customer called.)" in entry.get_change_message()
    assert "The customer called." in client.get(f"{CHANGELIST}{confirmed.pk}/history/").content.decode()


def test_a_completed_order_is_refunded_but_not_cancelled(client, operator, confirmed):
    operate(client, "complete", confirmed)
    assert status_of(confirmed) == Status.COMPLETED
    page = client.get(f"/admin/orders/order/operate/cancel/?order={confirmed.pk}").content.decode()
    assert "Refund it when the goods are returned." in page
    page = client.get(f"/admin/orders/order/operate/refund/?order={confirmed.pk}").content.decode()
    assert "Returns 2 units to stock." in page
    operate(client, "refund", confirmed, reason="Came back.")
    work_off()
    assert status_of(confirmed) == Status.CANCELLED


def test_a_held_order_is_started(client, operator):
    held = order(make_order((make_product(), 1), hold=True))
    operate(client, "process", held)
    assert order(held_placed(held)).journey.due_at is not None


def held_placed(order_: Order):
    class Named:
        order_id = order_.pk

    return Named


def test_a_stuck_order_is_retried(client, operator):
    stuck = order(make_order((make_product(), 1)))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_journey SET status = 'processing', attention = 'poison', due_at = NULL")
    operate(client, "retry", stuck)
    stuck.journey.refresh_from_db()
    assert (stuck.journey.attention, stuck.journey.due_at is not None) == ("", True)


def test_selected_orders_are_acted_on_together_each_with_its_own_outcome(client, operator, confirmed):
    held = order(make_order((make_product(), 1), hold=True))
    chosen = {"action": "ask_cancel", "_selected_action": [confirmed.pk, held.pk]}
    page = client.post(CHANGELIST, chosen)
    assert "Refunds 25.00 USD." in page.content.decode()
    answer = operate(client, "cancel", confirmed, held, reason="Recall.")
    assert said(answer) == [f"{held.number} is cancelled.", f"{confirmed.number} is cancelling."]


def test_doing_it_twice_does_it_once(client, operator, confirmed):
    for _ in range(2):
        operate(client, "cancel", confirmed, reason="Clicked twice.")
    types = list(confirmed.events.values_list("type", flat=True))
    assert types.count("cancellation_started") == 1


def test_what_cannot_be_done_is_said_and_hurts_nobody(client, operator, confirmed):
    operate(client, "complete", confirmed)
    answer = operate(client, "cancel", confirmed, reason="Too late.")
    assert said(answer) == [f"{confirmed.number}: A completed order cannot be cancelled."]
    assert status_of(confirmed) == Status.COMPLETED


def test_an_onlooker_sees_orders_but_cannot_act(client, onlooker, confirmed):
    assert "Cancel" not in page_of(client, confirmed)
    assert operate(client, "cancel", confirmed, reason="No.").status_code == 403
    assert "ask_cancel" not in client.get(CHANGELIST).content.decode()
    assert status_of(confirmed) == Status.CONFIRMED


def test_a_customer_does_not_get_in(client, confirmed):
    customer = make_user()
    customer.user_permissions.set(Permission.objects.filter(codename="operate_order"))
    client.force_login(customer)
    assert operate(client, "cancel", confirmed, reason="No.").redirect_chain
    assert status_of(confirmed) == Status.CONFIRMED


def test_an_unknown_operation_is_not_found(client, operator):
    assert client.get("/admin/orders/order/operate/delete/?order=1").status_code == 404


# --- Beside the orders ---


def test_money_at_risk_is_told_with_what_happens_next(client, operator, confirmed):
    operator.user_permissions.add(Permission.objects.get(codename="view_transaction"))
    operate(client, "cancel", confirmed, reason="The customer called.")
    page = client.get("/admin/payments/money-at-risk/").content.decode()
    assert "25.00 USD in 1 order" in page
    assert "Captured, not refunded yet." in page
    work_off()
    assert "No unresolved payments." in client.get("/admin/payments/money-at-risk/").content.decode()


def test_batches_can_be_looked_at(client, confirmed):
    client.force_login(User.objects.create_superuser("admin"))
    assert client.get("/admin/orders/batch/").status_code == 200


def test_the_desk_shows_each_page_to_those_who_may_see_it(client, operator):
    assert "Unresolved payments" not in client.get("/admin/").content.decode()
    assert client.get("/admin/payments/money-at-risk/").status_code == 403
    operator.user_permissions.set(
        Permission.objects.filter(codename__in=["view_transaction", "view_scheduledrun"])
    )
    page = client.get("/admin/").content.decode()
    for title in ("Unresolved payments", "Transactions", "Scheduled runs"):
        assert title in page


def test_an_order_of_long_ago_is_shown_as_it_was(client, operator, confirmed):
    commands.complete_orders(order_ids=[confirmed.pk])
    before = page_of(client, confirmed)
    assert list(archive.move(before=database_now() + timedelta(seconds=1)))
    assert listed(client) == []
    number = confirmed.number
    assert number in client.get("/admin/orders/archivedorder/", {"q": number}).content.decode()
    another = {"q": f"ORD-20200101000000-{confirmed.pk + 1}"}
    assert number not in client.get("/admin/orders/archivedorder/", another).content.decode()
    answer = client.get(reverse("admin:orders_order_change", args=[confirmed.pk]), follow=True)
    page = answer.content.decode()
    assert "Archived orders are read-only" in page
    assert set(re.findall(r"/operate/(\w+)/", page)) == {"refund"}
    for told in ("Laptop", "Alice", "Order confirmed", "Capture", str(confirmed.uuid)):
        assert told in before
        assert told in page
    assert client.get("/admin/orders/archivedorder/12345/change/").status_code == 404


def test_who_may_see_no_orders_sees_none_of_long_ago(client, operator):
    operator.user_permissions.set(Permission.objects.filter(codename="view_product"))
    assert client.get("/admin/orders/archivedorder/").status_code == 403


def test_finding_looks_no_further_back_than_said(client, operator, monkeypatch):
    old = make_order((make_product(), 1), customer_name="Alice Old")
    monkeypatch.setattr("orders.operators.search.SEARCHED_ROWS", 1)
    new = make_order((make_product(), 1), customer_name="Alice New")
    assert listed(client, "?q=alice") == [new.number]
    assert listed(client, "?q=Alice+Old") == [old.number]
    assert stats.latest_id() == new.order_id
