"""The board at one moment: who sees which orders, in which lane, counted how."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from board import cards
from board.cards import Lane
from orders import journal
from orders.commands import cancel_order, process_order
from orders.journal import Position
from orders.models import Journey
from tests.factories import make_order, make_user
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def lanes_of(user) -> dict[str, int]:
    found = cards.snapshot(user).lanes
    return {name: lane.count for name, lane in found.items() if lane.count}


def test_a_customer_sees_their_own_orders_only(api, alice, product):
    mine = make_order((product, 2), owner=alice)
    make_order((product, 1), owner=make_user())

    board = api(alice).get("/api/board").json()

    assert board["lanes"]["pending"]["count"] == 1
    (card,) = board["lanes"]["pending"]["cards"]
    assert (card["id"], card["number"], card["uuid"]) == (mine.order_id, mine.number, str(mine.uuid))
    assert (card["customer"], card["amount"], card["currency"]) == ("Alice", 20.0, "USD")
    assert (card["status"], card["progress"], card["version"]) == ("Pending", 0, 1)


def test_staff_see_all_orders(staff, alice, product):
    make_order((product, 1), owner=alice)
    make_order((product, 1), owner=make_user())
    assert lanes_of(staff) == {"pending": 2}


def test_a_stranger_sees_nothing(api, db):
    assert api(None).get("/api/board").status_code == 401


def test_orders_hang_where_they_stand(staff, product, providers, drain):
    for token in ("tok_demo", "tok_demo", "tok_declined"):
        make_order((product, 1), token=token)
    drain()
    make_order((product, 1), hold=True)
    assert lanes_of(staff) == {"confirmed": 2, "ended": 1, "pending": 1}


def test_a_held_order_says_so(staff, product):
    make_order((product, 1), hold=True)
    (card,) = cards.snapshot(staff).lanes["pending"].cards
    assert card.waits_for == "manual release"


def test_an_order_that_needs_a_person_hangs_there_and_nowhere_else(staff, product):
    order = make_order((product, 1))
    Journey.objects.filter(order_id=order.order_id).update(attention="poison", due_at=None)
    assert lanes_of(staff) == {"attention": 1}
    (card,) = cards.snapshot(staff).lanes["attention"].cards
    assert card.attention


def test_what_broke_inside_is_for_staff(staff, alice, product):
    order = make_order((product, 1), owner=alice)
    Journey.objects.filter(order_id=order.order_id).update(attention="horror", due_at=None)
    assert [card.why for card in cards.cards_of(staff, [order.order_id]).cards] == ["horror"]
    assert [card.why for card in cards.cards_of(alice, [order.order_id]).cards] == [""]


def test_one_that_came_right_needs_nobody_any_more(staff, product):
    order = make_order((product, 1))
    Journey.objects.filter(order_id=order.order_id).update(attention="slow", status="confirmed")
    assert lanes_of(staff) == {"confirmed": 1}


def test_each_lane_has_some_cards_and_counts_all(staff, product, monkeypatch):
    monkeypatch.setattr(cards, "CARDS_PER_LANE", 2)
    orders = [make_order((product, 1)) for _ in range(3)]
    lane = cards.snapshot(staff).lanes["pending"]
    assert lane.count == 3
    assert [card.id for card in lane.cards] == [orders[2].order_id, orders[1].order_id]


def test_counts_of_a_customer_with_very_many_orders_say_that_they_are_estimates(alice, product, monkeypatch):
    monkeypatch.setattr(cards, "COUNTED_ORDERS", 2)
    for _ in range(3):
        make_order((product, 1), owner=alice)
    count = cards.lane_counts(alice)[Lane.PENDING]
    assert count.orders == 2
    assert count.is_estimate


def test_what_follows_the_position_is_what_the_board_does_not_show_yet(staff, product):
    make_order((product, 1))
    position = Position.parse(cards.snapshot(staff).position)
    later = make_order((product, 1))
    assert [event.order_id for event in journal.follow(position)] == [later.order_id]


def test_orders_that_the_feed_will_tell_again_are_named_as_counted(staff, product):
    """A transaction that began earlier and is not over holds the feed back, and not the board."""
    may_end, has_begun = threading.Event(), threading.Event()

    def dawdle():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
            has_begun.set()
            may_end.wait(20)
        connection.close()

    dawdler = threading.Thread(target=dawdle)
    dawdler.start()
    try:
        until(has_begun.is_set)
        order = make_order((product, 1), hold=True)
        process_order(order_id=order.order_id)
        snapshot = cards.snapshot(staff)
    finally:
        may_end.set()
        dawdler.join()
    assert snapshot.lanes["pending"].count == 1
    assert snapshot.counted == {str(order.order_id): 2}
    told_again = journal.follow(Position.parse(snapshot.position))
    assert [(event.order_id, event.sequence) for event in told_again] == [
        (order.order_id, 1),
        (order.order_id, 2),
    ]


# --- Some cards, and search -------------------------------------------------------------------------------


def test_cards_are_given_for_orders_that_one_may_see(api, alice, product):
    mine, foreign = make_order((product, 1), owner=alice), make_order((product, 1))
    found = api(alice).get(f"/api/board/cards?ids={mine.order_id},{foreign.order_id},999999").json()
    assert [card["id"] for card in found["cards"]] == [mine.order_id]


@pytest.mark.parametrize("ids", ["", "one", "1,,2", "-1", "1;2", ",".join("1" * 201)])
def test_it_refuses_ids_that_are_none(api, alice, ids):
    answer = api(alice).get("/api/board/cards", {"ids": ids})
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["field"]) == ("invalid_parameter", "ids")


def test_search_finds_by_number_id_uuid_and_customer(api, alice, product):
    order = make_order((product, 1), owner=alice, customer_name="Zoë Zimmer")
    make_order((product, 1), owner=alice, customer_name="Bob")
    for text in (order.number, str(order.order_id), str(order.uuid), "Zoë"):
        found = api(alice).get("/api/board/search", {"q": text}).json()["cards"]
        assert [card["id"] for card in found] == [order.order_id], text


def test_search_finds_nothing_of_others(api, alice, product):
    foreign = make_order((product, 1))
    assert api(alice).get("/api/board/search", {"q": foreign.number}).json() == {"cards": []}


@pytest.mark.parametrize("text", ["", "  ", "x" * 101, "a\x00b"])
def test_it_refuses_a_search_for_nonsense(api, alice, text):
    answer = api(alice).get("/api/board/search", {"q": text})
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "q"


def test_an_order_on_its_way_back_hangs_in_undoing(staff, product, providers, drain):
    order = make_order((product, 1))
    drain()
    cancel_order(order_id=order.order_id, reason="changed mind")
    (card,) = cards.snapshot(staff).lanes["undoing"].cards
    assert (card.status, card.reason) == ("Cancelling", "changed mind")


@contextmanager
def an_older_transaction() -> Iterator[None]:
    """A transaction that has begun before, and is not over."""
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
        yield
    finally:
        other.rollback()
        other.close()


def test_a_customer_is_not_told_of_what_happens_to_the_orders_of_others(staff, alice, product):
    mine, others = make_order((product, 1), owner=alice), make_order((product, 1), owner=make_user())
    begin = Position()

    assert set(cards._counted_after(begin, alice)) == {str(mine.order_id)}
    assert set(cards._counted_after(begin, staff)) == {str(mine.order_id), str(others.order_id)}


def test_the_snapshot_counts_ones_own_orders_only(staff, alice, product):
    """Those that were placed while an older transaction was running."""
    with an_older_transaction():
        mine = make_order((product, 1), owner=alice)
        others = make_order((product, 1), owner=make_user())

        assert set(cards.snapshot(alice).counted) == {str(mine.order_id)}
        assert {str(mine.order_id), str(others.order_id)} <= set(cards.snapshot(staff).counted)


@pytest.mark.parametrize("text", ["Jose\u0301", "Jos\u00e9"])
def test_a_search_finds_a_name_in_either_normal_form(staff, product, text):
    make_order((product, 1), customer_name="Jose\u0301")
    make_order((product, 1), customer_name="Jos\u00e9 Ma\u0301rquez")

    assert len(cards.search(staff, text).cards) == 2


@pytest.mark.parametrize("reason", ["see ticket ABC_123_x", "out_of_stock", "https://x.example/a_b"])
def test_what_a_person_typed_is_repeated_as_it_is(staff, product, reason):
    order = make_order((product, 1), hold=True)
    cancel_order(order_id=order.order_id, reason=reason)

    (card,) = cards.cards_of(staff, [order.order_id]).cards
    assert card.reason == reason
