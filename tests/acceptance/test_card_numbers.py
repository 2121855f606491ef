"""A card number is sent wherever something can be sent, and then looked for wherever something can be kept."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import psycopg
import pytest
import redis
import requests
from psycopg import sql
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.acceptance.stack import Stack

# Test numbers of the card companies, each written in another way.
CARDS = ("4111111111111111", "5500 0055 5555 5559", "3782-822463-10005")
# Passes no check, so it is taken: by it we know that we would have found the others.
HARMLESS = "4111111111111112"
FLOWER_PAGES = ("/tasks", "/workers", "/broker", "/api/tasks", "/api/workers", "/api/queues/length")


class Everything:
    """All that can be asked of the API, made from its own description."""

    def __init__(self, stack: Stack) -> None:
        self._description = requests.get(f"{stack.url}/api/schema?format=json", timeout=30).json()

    def requests_with(self, card: str, *, at: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield each request with the number in one place of it: method, path, and options for `requests`."""
        paths = self._description["paths"]
        for template, operations in ({at: paths[at]} if at else paths).items():
            path = template.replace("{order}", "1")
            for method, operation in operations.items():
                for parameter in operation.get("parameters", []):
                    if parameter["name"] == "If-None-Match":
                        continue  # compared, then dropped like all undocumented headers
                    yield method, *_with_parameter(path, parameter, card)
                for media, content in operation.get("requestBody", {}).get("content", {}).items():
                    for body in self._bodies(content["schema"], card):
                        options = {"data": json.dumps(body), "headers": {"Content-Type": media}}
                        yield method, _with_ids(path), options

    def _bodies(self, schema: dict[str, Any], card: str) -> Iterator[Any]:
        """Yield values of a schema's shape with the number at one of its leaves."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = self._description["components"]["schemas"][name]
        for choice in schema.get("anyOf", schema.get("allOf", [])):
            yield from self._bodies(choice, card)
        for name, inner in schema.get("properties", {}).items():
            for value in self._bodies(inner, card):
                yield {name: value}
        if "items" in schema:
            yield from ([value] for value in self._bodies(schema["items"], card))
        if schema.get("type") == "string":
            yield card
        if schema.get("type") in ("integer", "number"):
            yield int(card.replace(" ", "").replace("-", ""))


def _with_parameter(path: str, parameter: dict[str, Any], card: str) -> tuple[str, dict[str, Any]]:
    name = parameter["name"]
    match parameter["in"]:
        case "path":
            return _with_ids(path.replace(f"{{{name}}}", quote(card))), {}
        case "query":
            return _with_ids(path), {"params": {name: card}}
        case where:
            return _with_ids(path), {f"{where}s": {name: card}}


def _with_ids(path: str) -> str:
    while "{" in path:
        before, _, rest = path.partition("{")
        path = f"{before}1{rest.partition('}')[2]}"
    return path


@pytest.fixture(scope="module")
def boss(stack: Stack) -> dict[str, str]:
    """Headers of an account with all permissions: even it is refused card numbers."""
    name, password = stack.login("admin")
    answer = requests.post(
        f"{stack.url}/api/token", json={"username": name, "password": password}, timeout=10
    )
    return {"Authorization": f"Token {answer.json()['token']}"}


def test_a_card_number_is_refused_everywhere_and_kept_nowhere(stack, boss):
    placed = stack.place({"productName": "Book", "quantity": 1}, customerId=HARMLESS)
    everything = Everything(stack)
    taken = [
        f"{method} {path} {options}: {answer.status_code} {answer.text[:200]}"
        for card, at in zip(CARDS, ("", "/api/orders", "/api/orders"), strict=True)
        for method, path, options in everything.requests_with(card, at=at)
        if not _is_refused(answer := _sent(stack, boss, method, path, options), card)
    ]
    for card in CARDS:
        _send_around_the_api(stack, boss, card)
        _send_as_the_payment_provider(stack, placed["id"], card)
    stack.when(placed["id"], "Confirmed")

    assert taken == []
    assert "orders_order" in _tables_with(stack, HARMLESS)
    for card in CARDS:
        digits = card.replace(" ", "").replace("-", "")
        for written in {card, digits, quote(card)}:
            assert _kept(stack, written) == []


def _sent(stack: Stack, login: dict[str, str], method: str, path: str, options: dict[str, Any]) -> Any:
    headers = login | options.pop("headers", {})
    return requests.request(method, stack.url + path, headers=headers, timeout=30, **options)


def _is_refused(answer: requests.Response, card: str) -> bool:
    refused = "card_number_refused" in answer.text or answer.status_code == HTTPStatus.PRECONDITION_FAILED
    return card not in answer.text and refused


def _send_around_the_api(stack: Stack, login: dict[str, str], card: str) -> None:
    """Send it where there is no field for it: names of fields, addresses, headers, forms, sockets."""
    order = {"customerName": "Alice", "items": [{"productName": "Book", "quantity": 1}]}
    post, get = f"{stack.url}/api/orders", f"{stack.url}/api/orders/1"
    headers = ("X-Request-ID", "User-Agent", "Referer", "Cookie", "traceparent", "Accept", "If-None-Match")
    for name in headers:
        requests.get(get, headers=login | {name: card}, timeout=10)
    requests.get(get, headers={"Authorization": f"Token {card}"}, timeout=10)
    requests.post(post, json=order | {card: 1}, headers=login, timeout=10)
    requests.post(post, json=order, headers=login | {"X-Request-ID": card}, timeout=10)
    requests.post(post, data=card, headers=login, timeout=10)
    for page in ("/", "/api/", "/admin/", "/board/orders/", "/track/", "/metrics/", "/health/"):
        requests.get(f"{stack.url}{page}{quote(card)}?{quote(card)}={quote(card)}", timeout=10)
    session = stack.session("operator")
    token = {"csrfmiddlewaretoken": session.cookies["csrftoken"]}
    operate = f"{stack.url}/admin/orders/order/operate/cancel/"
    form = token | {"ids": "1", "reason": card, "confirmed": "1"}
    assert session.post(operate, form, headers={"Referer": operate}, timeout=10).status_code == 400
    session.post(f"{stack.url}/admin/login/", token | {"username": card, "password": card}, timeout=10)
    live = stack.url.replace("http", "ws")
    at = f"{live}/ws/orders/{quote(card)}?after={quote(card)}&ticket={quote(card)}"
    with suppress(ConnectionClosed), connect(at, proxy=None) as socket:
        socket.send(card)


def _send_as_the_payment_provider(stack: Stack, order_id: int, card: str) -> None:
    """Send a signed event of a failed payment whose message repeats a card number."""
    operation = {"id": card, "kind": "authorize", "status": "declined", "reference": str(order_id)}
    operation |= {
        "key": card,
        "amount": "1.00",
        "currency": "USD",
        "code": card,
        "message": f"{card} declined",
    }
    body = json.dumps({"id": f"evt_{card}", "operation": operation}).encode()
    secret, now = stack.environment["PAYMENT_WEBHOOK_SECRETS"], str(int(time.time()))
    signature = hmac.new(secret.encode(), now.encode() + b"." + body, hashlib.sha256).hexdigest()
    answer = requests.post(
        f"{stack.url}/api/payments/webhook",
        data=body,
        headers={"Content-Type": "application/json", "Webhook-Signature": f"t={now},v1={signature}"},
        timeout=10,
    )
    assert answer.status_code < 500


# --- Looking for it ---------------------------------------------------------------------------------------


def _kept(stack: Stack, text: str) -> list[str]:
    places: list[Callable[[Stack, str], list[str]]] = [_tables_with, _keys_with, _files_with, _pages_with]
    return [found for look in places for found in look(stack, text)]


def _tables_with(stack: Stack, text: str) -> list[str]:
    """Return the tables with a row that has the text in any of its columns."""
    found = []
    with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            look = sql.SQL("SELECT 1 FROM {} t WHERE t::text LIKE %s LIMIT 1").format(sql.Identifier(table))
            if connection.execute(look, [f"%{text}%"]).fetchone():
                found.append(table)
    return found


def _keys_with(stack: Stack, text: str) -> list[str]:
    """Return the keys of Valkey, in any of its databases, that have the text in their name or value."""
    found: list[str] = []
    for database in range(16):
        with redis.Redis.from_url(f"{stack.environment['REDIS_URL']}/{database}") as client:
            stored = (f"{database}: {key!r} {_value(client, key)!r}" for key in client.scan_iter(count=1000))
            found += [each for each in stored if text in each]
    return found


def _value(client: redis.Redis, key: bytes) -> Any:
    readers: dict[bytes, Callable[[], Any]] = {
        b"string": lambda: client.get(key),
        b"hash": lambda: client.hgetall(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"none": lambda: None,  # gone meanwhile
    }
    return readers[cast("bytes", client.type(key))]()


def _files_with(stack: Stack, text: str) -> list[str]:
    """Return the files with the text: logs, and what the engines wrote, messages long delivered included."""
    files = [stack.log, *(path for path in (stack.folder / "data").rglob("*") if path.is_file())]
    return [str(path) for path in files if text.encode() in path.read_bytes()]


def _pages_with(stack: Stack, text: str) -> list[str]:
    """Return the pages of Flower with the text."""
    login = base64.b64encode(stack.environment["FLOWER_BASIC_AUTH"].encode()).decode()
    found = []
    for page in FLOWER_PAGES:
        assert requests.get(f"http://127.0.0.1:{stack.flower_port}{page}", timeout=30).status_code == 401
        answer = requests.get(
            f"http://127.0.0.1:{stack.flower_port}{page}",
            headers={"Authorization": f"Basic {login}"},
            timeout=30,
        )
        assert answer.status_code == 200, page
        found += [page] if text in answer.text else []
    return found
