"""The description of the WebSockets' messages: what is really told fits it, and it leaves nothing out."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from live import close_codes, messages
from live.messages import Message, snapshot
from live.protocols import JsonProtocol
from live.routing import routes
from orders.events import EventType
from orders.http.responses import status_name
from orders.journal import FeedEvent, Position
from orders.models import Order
from orders.queries import visible_to
from orders.status import Status
from stream.events import stream_event
from tests.factories import make_order, make_product, make_user

DOCUMENT: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent.parent.parent / "docs/asyncapi.yaml").read_text()
)
PLACED = {"amount": "10.00", "currency": "USD", "held": True}
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        found: Any = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def check(body: dict[str, Any]) -> None:
    payload = resolved(DOCUMENT["components"]["messages"][body["type"]]["payload"])
    jsonschema.validate(body, {"components": DOCUMENT["components"]} | payload)
    assert body.keys() <= payload["properties"].keys()


@pytest.mark.parametrize("event_type", list(EventType))
def test_each_event_is_told_as_it_is_described(event_type):
    data = PLACED if event_type is EventType.PLACED else {"reason": "out_of_stock"}
    event = FeedEvent(Position(9, 7, 3), 7, 3, event_type, 40, data, AT, 1, "Alice", AT)
    check(json.loads(Message.of_feed_event(event).plain))


@pytest.mark.parametrize("event_type", list(EventType))
def test_each_event_is_in_the_stream_as_it_is_described(event_type):
    data = PLACED if event_type is EventType.PLACED else {"reason": "out_of_stock"}
    event = FeedEvent(Position(9, 7, 3), 7, 3, event_type, 40, data, AT, 1, "Alice", AT)
    payload = resolved(DOCUMENT["components"]["messages"]["StreamEvent"]["payload"])
    jsonschema.validate(
        json.loads(stream_event(event).payload), {"components": DOCUMENT["components"]} | payload
    )


@pytest.mark.django_db(transaction=True)
def test_where_an_order_stands_is_told_as_it_is_described():
    user = make_user()
    order: Order = visible_to(user).get(pk=make_order((make_product(), 1), owner=user).order_id)
    check(json.loads(messages.encode(snapshot(order, progress=0, at=AT))))


def test_an_answer_to_a_ping_is_as_it_is_described():
    check(json.loads(JsonProtocol().reply('{"type": "Ping"}')))


def test_every_event_and_status_is_named():
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["EventType"]["examples"]) == {event.value for event in EventType}
    assert set(schemas["Status"]["enum"]) == {status_name(status) for status in Status}


def test_every_address_and_every_way_to_be_closed_is_named():
    addresses = [
        channel["address"].replace("{order}", "7").lstrip("/") for channel in DOCUMENT["channels"].values()
    ]
    for route in routes[:-1]:  # the last one catches what is no address
        assert any(route.pattern.match(address) for address in addresses)
    codes = [r.code for r in vars(close_codes).values() if isinstance(r, close_codes.Refusal)]
    assert not [
        code for code in [*codes, close_codes.BAD_REQUEST] if str(code) not in DOCUMENT["info"]["description"]
    ]


def test_every_reference_leads_somewhere():
    def walk(part: Any) -> None:
        if isinstance(part, dict):
            resolved(part)
            for inner in part.values():
                walk(inner)
        elif isinstance(part, list):
            for inner in part:
                walk(inner)

    walk(DOCUMENT)


def test_it_is_served(client):
    answer = client.get("/api/asyncapi.yaml")
    assert yaml.safe_load(answer.content) == DOCUMENT
