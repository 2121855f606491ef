"""GET /api/orders/export: all of them, in one go."""

import csv
import json
from typing import Any

import pytest
from django.db import connection

from orders.models import Order
from orders.reporting import export
from tests.orders.conftest import client_of

EXPORT = "/api/orders/export"


def exported(client, query: str = "") -> Any:
    response = client.get(f"{EXPORT}{query}")
    assert response.status_code == 200, response.content
    return b"".join(response.streaming_content).decode()


def rows(client, query: str = "") -> list[dict[str, Any]]:
    return [json.loads(line) for line in exported(client, query).splitlines()]


def table(client, query: str = "?format=csv") -> list[dict[str, str]]:
    return list(csv.DictReader(exported(client, query).splitlines()))


def test_it_has_a_line_for_each_order_the_oldest_first(as_alice, place):
    placed = [place(customerName=name) for name in ("Ann", "Ben")]
    found = rows(as_alice)
    shared = (
        "id",
        "orderNumber",
        "uuid",
        "customerName",
        "status",
        "totalAmount",
        "currency",
        "createdAt",
        "version",
    )
    assert [{n: r[n] for n in shared} for r in found] == [{n: o[n] for n in shared} for o in placed]


def test_it_comes_in_pieces(as_alice, place, monkeypatch):
    monkeypatch.setattr(export, "PIECE_ROWS", 2)
    ids = [place()["id"] for _ in range(5)]
    assert [row["id"] for row in rows(as_alice)] == ids
    assert [int(row["id"]) for row in table(as_alice)] == ids


def test_nobody_sees_the_orders_of_others(as_alice, place, bob, operator, unlimited):
    mine = place()["id"]
    assert rows(client_of(bob)) == []
    assert [row["id"] for row in rows(client_of(operator))] == [mine]


def test_only_staff_are_told_why_a_person_should_look(as_alice, as_operator, place):
    place()
    assert "attention" not in rows(as_alice)[0]
    assert "attention" in rows(as_operator)[0]
    assert "attention" in table(as_operator)[0]


def test_it_takes_the_filters_of_the_list(as_alice, place):
    place(hold=True, customerName="Ann")
    place(customerName="Ben")
    assert [row["customerName"] for row in rows(as_alice, "?customer=Ann&status=pending")] == ["Ann"]
    response = as_alice.get(f"{EXPORT}?owner=3")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unknown_parameter")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x")', " =1+1", "\u00a0=1+1", "x;=1+1", "\uff1d1+1"]
)
def test_a_spreadsheet_runs_nothing_of_it(as_alice, place, text):
    place(customerId=text)
    mark = (
        "" if text.startswith("x") else "'"
    )  # what begins a cell is marked, and no cell begins within quotes
    assert table(as_alice)[0]["customerId"] == mark + text
    assert f'"{mark}{text.replace(chr(34), chr(34) * 2)}"' in exported(as_alice, "?format=csv")
    assert rows(as_alice)[0]["customerId"] == text


def test_a_reason_is_guarded_too(as_alice, place):
    order = place(hold=True)
    as_alice.post(f"/api/orders/{order['id']}/cancel", {"reason": "=cmd"})
    assert table(as_alice)[0]["reason"] == "'=cmd"


def test_commas_quotes_and_other_scripts_come_through(as_alice, place):
    name = 'Müller, "Jö" 株'
    place(customerName=name)
    assert table(as_alice)[0]["customerName"] == name


def test_it_says_what_it_is(as_alice):
    response = as_alice.get(f"{EXPORT}?format=csv")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="orders.csv"'


def test_it_refuses_a_format_that_nobody_knows(as_alice):
    response = as_alice.get(f"{EXPORT}?format=xlsx")
    assert (response.status_code, response.json()["error"]["field"]) == (400, "format")


def test_it_wants_a_login(shop):
    assert client_of().get(EXPORT).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_stops_leaves_no_transaction_open(as_alice, place):
    place()
    response = as_alice.get(EXPORT)
    next(iter(response.streaming_content))
    response.close()
    assert not connection.in_atomic_block
    assert Order.objects.count() == 1
