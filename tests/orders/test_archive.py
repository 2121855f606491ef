"""The archive: what ended long ago leaves the tables of the living, wholly or not at all, and nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F

from inventory.models import Reservation, StockItem
from orders import commands, tasks
from orders.maintenance import archive, audit, retention
from orders.models import ArchivedOrder, ArchivedUnits, Journey, Order, OrderEvent, OrderLine
from payments.models import Transaction
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_user
from tests.orders.conftest import client_of

pytestmark = pytest.mark.django_db(transaction=True)

# Everything that an order is, by what names the order there.
ALL_OF_IT = {
    Order: "pk",
    Journey: "pk",
    OrderLine: "order_id",
    OrderEvent: "order_id",
    Transaction: "order_id",
    Reservation: "order_id",
}


@pytest.fixture(autouse=True)
def shop(providers):
    make_shipping()


@pytest.fixture
def thing():
    return make_product("Thing", units=1000)


@pytest.fixture
def completed(thing, drain):
    """Return a function that completes a number of orders for two things each and returns their ids."""

    def complete(count: int, **wanted) -> list[int]:
        ids = [make_order((thing, 2), **wanted).order_id for _ in range(count)]
        drain()
        commands.complete_orders(order_ids=ids)
        return ids

    return complete


def let_pass(months: int, *order_ids: int) -> None:
    """Have orders be so many months older in every respect."""
    age = timedelta(days=months * 31)
    Order.objects.filter(pk__in=order_ids).update(placed_at=F("placed_at") - age)
    Journey.objects.filter(pk__in=order_ids).update(finished_at=F("finished_at") - age)
    Transaction.objects.filter(order_id__in=order_ids).update(finished_at=F("finished_at") - age)


def move(*, months: int = 12) -> int:
    before = archive.months_before(database_now(), months)
    return sum(moved.months.total() for moved in archive.move(before=before))


def move_and_hang_up() -> int:
    try:
        return move()
    finally:
        connection.close()


def rows_of(order_id: int) -> list[int]:
    return [model._default_manager.filter(**{key: order_id}).count() for model, key in ALL_OF_IT.items()]


def violations() -> list[str]:
    # The provider's ledger also has what other tests paid for.
    return [str(found) for found in audit.run().violations if "no order" not in found.details]


def test_an_order_of_long_ago_moves_with_everything_and_the_books_stay_right(completed, thing):
    old, young = completed(2)
    let_pass(14, old)
    whole = rows_of(young)
    assert violations() == []
    assert move() == 1
    assert set(rows_of(old)) == {0}
    assert rows_of(young) == whole
    assert violations() == []
    assert ArchivedUnits.objects.get(product_id=thing.pk).quantity == 2
    archived = ArchivedOrder.objects.get()
    assert archived.kept_amount == 25
    kept = archived.document
    assert [line["quantity"] for line in kept["lines"]] == [2]
    assert [event["sequence"] for event in kept["events"]] == list(range(1, kept["journey"]["sequence"] + 1))
    assert {each["kind"] for each in kept["transactions"]} == {"authorize", "capture"}
    assert kept["order"]["customer_name"] == "Alice"


def test_the_provider_has_to_know_of_what_is_archived_as_paid(completed):
    (old,) = completed(1)
    let_pass(14, old)
    assert move() == 1
    ArchivedOrder.objects.update(uuid=uuid4())
    assert [found for found in violations() if f"{old}: archived as paid with 25.00" in found]


def test_a_second_run_finds_nothing(completed):
    let_pass(14, *completed(2))
    assert [move(), move()] == [2, 0]
    assert violations() == []


def test_what_was_refused_is_archived_as_owing_nothing(thing, drain):
    order_id = make_order((thing, 1), token="tok_declined").order_id
    drain()
    let_pass(14, order_id)
    assert move() == 1
    assert ArchivedOrder.objects.get().kept_amount == 0
    assert violations() == []


def test_what_is_not_at_rest_stays(completed, thing, drain):
    confirmed = make_order((thing, 1)).order_id
    held = make_order((thing, 1), hold=True).order_id
    drain()
    troubled, late, young = completed(3)
    let_pass(14, confirmed, held, troubled, late)
    Journey.objects.filter(pk=troubled).update(attention="look_at_me")
    Journey.objects.filter(pk=late).update(finished_at=database_now())
    assert move() == 0
    assert set(Order.objects.values_list("pk", flat=True)) == {confirmed, held, troubled, late, young}


def test_what_somebody_holds_is_left_for_the_next_time(completed):
    held, free = completed(2)
    let_pass(14, held, free)
    with transaction.atomic():
        Journey.objects.select_for_update().get(pk=held)
        with ThreadPoolExecutor(1) as somebody_else:
            assert somebody_else.submit(move_and_hang_up).result() == 1
    assert ArchivedOrder.objects.get().pk == free
    assert move() == 1


def test_death_in_the_middle_leaves_every_order_in_one_place(completed, tmp_path):
    ids = completed(6)
    let_pass(14, *ids)
    died = _move_and_die_in_the_second_step(tmp_path)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert ArchivedOrder.objects.count() == 2
    assert Order.objects.count() == 4
    assert violations() == []
    assert move() == 4
    assert violations() == []
    assert StockItem.objects.get().sold == ArchivedUnits.objects.get().quantity == 12


def _move_and_die_in_the_second_step(folder) -> subprocess.CompletedProcess[str]:
    code = """
import django; django.setup()
from datetime import UTC, datetime
from orders.maintenance import archive
archive.WINDOW = 2
list(archive.move(before=archive.months_before(datetime.now(UTC), 12)))
"""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    faults = {"FAULTS": "archive.before_commit:kill@2", "FAULTS_DIR": str(folder), "DEBUG": "1"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | faults | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_api_says_that_an_order_is_archived_to_who_might_see_it(completed, unlimited):
    alice, bob, staff = make_user("alice"), make_user("bob"), make_user("staff", is_staff=True)
    (order_id,) = completed(1, owner=alice)
    uuid = Order.objects.get().uuid
    let_pass(14, order_id)
    move()
    for user in (alice, staff):
        for reference in (order_id, uuid):
            answer = client_of(user).get(f"/api/orders/{reference}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (410, "order_archived")
        assert client_of(user).get(f"/api/orders/{order_id}/events").status_code == 410
    assert client_of(alice).post(f"/api/orders/{order_id}/cancel").status_code == 410
    assert client_of(bob).get(f"/api/orders/{order_id}").status_code == 404


def test_the_command_goes_month_by_month_and_reads_a_month_again(completed):
    first, second, third = completed(3)
    let_pass(15, first)
    let_pass(14, second)
    told = StringIO()
    call_command("archive", "move", months=12, stdout=told)
    assert "2 orders archived" in told.getvalue()
    month = ArchivedOrder.objects.get(pk=first).month
    assert f"{month:%Y-%m}: 1 orders" in told.getvalue()
    read = StringIO()
    call_command("archive", "read", f"{month:%Y-%m}", stdout=read)
    (line,) = read.getvalue().splitlines()
    order = json.loads(line, parse_float=Decimal)["order"]
    assert (order["id"], order["goods_amount"]) == (first, Decimal("20.00"))
    assert Order.objects.get().pk == third


@pytest.mark.parametrize(
    ("now", "months", "expected"),
    [("2026-11-22", 1, "2026-10-01"), ("2026-01-31", 1, "2025-12-01"), ("2026-11-22", 24, "2024-11-01")],
)
def test_months_are_whole_ones(now, months, expected):
    afternoon = datetime.fromisoformat(f"{now}T13:30:00+00:00")
    assert archive.months_before(afternoon, months) == datetime.fromisoformat(f"{expected}T00:00:00+00:00")


def test_the_schedule_archives_only_where_it_is_asked_for(completed, settings):
    let_pass(14, *completed(1))
    tasks.archive_orders()
    assert ArchivedOrder.objects.count() == 0
    settings.ARCHIVE_AFTER_MONTHS = 12
    tasks.archive_orders()
    assert ArchivedOrder.objects.count() == 1
    assert retention.archive_some(now=database_now() + timedelta(days=1)) == "0 orders archived"


def test_archiving_stops_when_its_time_is_up_and_goes_on_the_next_time(completed, settings, monkeypatch):
    settings.ARCHIVE_AFTER_MONTHS = 12
    let_pass(14, *completed(3))
    monkeypatch.setattr(archive, "WINDOW", 1)
    monkeypatch.setattr(retention, "ARCHIVING_SECONDS", -1.0)
    assert retention.archive_some(now=database_now()) == "1 orders archived, and there may be more"
    monkeypatch.setattr(retention, "ARCHIVING_SECONDS", 60.0)
    assert retention.archive_some(now=database_now()) == "2 orders archived"
