"""The last minutes as series."""

import math
from datetime import timedelta

import pytest
from django.db import connection

from board.series import CLASSES, LONGEST, SERIES, SHORTEST, Series, quantile
from orders.commands import process_order
from orders.maintenance import backlog_samples
from scheduling.slots import database_now
from tests.factories import make_order, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def total(rates) -> int:
    return round(sum(rates) * 2)


def shift_events(seconds: float) -> None:
    """Let it all have happened earlier, so that it is not in the bucket under way."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_orderevent SET at = at - %s * interval '1 second'", [seconds])
        cursor.execute("UPDATE orders_order SET placed_at = placed_at - %s * interval '1 second'", [seconds])


def test_it_counts_what_was_placed_confirmed_and_ended(staff, api, product, providers, drain):
    for token in ("tok_demo", "tok_demo", "tok_declined"):
        make_order((product, 1), token=token)
    drain()
    shift_events(10)

    series = api(staff).get("/api/board/series").json()

    assert total(series["placed"]) == 3
    assert total(series["confirmed"]) == 2
    assert total(series["ended"]) == 1
    lengths = {len(series[name]) for name in ("times", "placed", "confirmed", "ended", "p50", "p95", "due")}
    assert lengths == {150}
    assert series["now"]["p50Seconds"] > 0
    assert series["now"]["underWay"] == 0


def test_a_second_look_adds_what_is_new_and_counts_nothing_twice(product):
    series = Series()
    make_order((product, 1))
    series.get()
    make_order((product, 1))
    for _ in range(3):
        series._refreshed_at -= 10  # expires the cached answer
        series.get()
    assert sum(bucket.placed for bucket in series._buckets.values()) == 2


def test_it_answers_from_memory_within_a_second(product, django_assert_num_queries):
    SERIES.get()
    with django_assert_num_queries(0):
        SERIES.get()


def test_an_order_that_was_held_does_not_count_as_slow(product, providers, drain):
    order = make_order((product, 1), hold=True)
    process_order(order_id=order.order_id)
    drain()
    shift_events(10)
    answer = SERIES.get()
    assert total(answer.placed) == 1
    assert answer.now.p50_seconds is None


def test_quantiles_are_near_enough():
    def class_of(seconds: float) -> int:
        return int(CLASSES * math.log(seconds / SHORTEST) / math.log(LONGEST / SHORTEST)) + 1

    classes = {class_of(1.0): 90, class_of(30.0): 10}
    assert quantile(classes, 0.5) == pytest.approx(1.0, rel=0.07)
    assert quantile(classes, 0.95) == pytest.approx(30.0, rel=0.07)
    assert quantile({}, 0.5) is None


def test_an_empty_shop_has_series_of_nothing(staff, api):
    series = api(staff).get("/api/board/series").json()
    assert set(series["placed"]) == {0.0}
    assert set(series["p50"]) == {None}


def test_the_backlog_is_known_of_minutes_in_which_nobody_looked(product):
    make_order((product, 1))
    now = database_now()
    backlog_samples.take(now=now - timedelta(seconds=100))
    backlog_samples.take(now=now - timedelta(seconds=90))
    answer = SERIES.get()
    known = [time for time, due in zip(answer.times, answer.due, strict=True) if due == 1]
    assert len(known) >= 10
    assert max(known) < now.timestamp() - 70


def test_customers_do_not_see_how_the_shop_is_doing(api, db):
    assert api(make_user()).get("/api/board/series").status_code == 403
    assert api(None).get("/api/board/series").status_code == 401


def test_in_a_demo_the_newcomer_does(api, demo):
    assert api(demo).get("/api/board/series").status_code == 200
