"""Outgoing webhooks: signed, once per event, tried again, and never into our own network."""

import hashlib
import hmac
import ipaddress
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import standardwebhooks
from django.contrib.auth.models import User
from django.utils import timezone

from api.models import IdempotencyKey
from launcher.engines import free_port
from notifications import journal_reader, outgoing, webhooks
from notifications.models import Delivery, JournalCursor, Subscription
from notifications.outgoing import NotAllowed, check_url, is_public
from orders.models import Order, OrderEvent
from tests.factories import make_order, make_product, make_shipping, make_user

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver(BaseHTTPRequestHandler):
    """Takes messages, and answers as it is told to."""

    answers: list[int] = []
    got: list[tuple[dict[str, str], bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        code = self.answers.pop(0) if self.answers else 204
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    Receiver.answers, Receiver.got = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Subscription.objects.create(
        url=f"http://127.0.0.1:{server.server_port}/hook?shop=1", events=["order_placed"]
    )
    yield Receiver
    server.shutdown()
    server.server_close()


def tell() -> Delivery:
    while journal_reader.record_page():
        pass
    webhooks.deliver_batch()
    return Delivery.objects.get()


def make_it_due() -> None:
    Delivery.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1))


def test_an_event_is_told_once_signed_and_in_the_words_of_the_live_feed(receiver):
    placed = make_order((make_product(), 1))
    assert tell().state == "delivered"
    JournalCursor.objects.update(transaction_id=0, order_id=0, sequence=0)  # the journal is read again
    assert tell().state == "delivered"
    ((headers, body),) = receiver.got
    assert json.loads(body)["orderId"] == placed.order_id
    assert json.loads(body)["type"] == "OrderCreated"
    assert headers["webhook-id"] == f"{placed.order_id}:1"


def test_it_is_verified_by_the_library_of_standard_webhooks(receiver):
    make_order((make_product(), 1))
    tell()
    ((headers, body),) = receiver.got
    library = standardwebhooks.Webhook(Subscription.objects.get().secret)
    assert library.verify(body, headers)["type"] == "OrderCreated"
    for changed in ({"webhook-id": "1:2"}, {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            library.verify(body, headers | changed)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library.verify(body + b" ", headers)


def test_a_subscription_from_before_keeps_its_signature_until_it_changes(receiver, client):
    old = Subscription.objects.get()
    Subscription.objects.update(signature="hex", secret="whsec_as-of-earlier-releases_")
    make_order((make_product(), 1))
    tell()
    ((headers, body),) = receiver.got
    timestamp, given = (part.partition("=")[2] for part in headers["Webhook-Signature"].split(","))
    signed = f"{timestamp}.".encode() + body
    assert given == hmac.new(b"whsec_as-of-earlier-releases_", signed, hashlib.sha256).hexdigest()
    client.force_login(User.objects.create_superuser("admin"))
    path = f"/api/webhooks/{old.pk}"
    changed = client.patch(path, {"signature": "standard"}, content_type="application/json").json()
    assert (changed["signature"], changed["secret"]) == ("standard", Subscription.objects.get().secret)
    assert client.get(path).json()["secret"] is None


def test_its_body_has_the_order_with_total_lines_and_customer(receiver, providers, drain):
    make_shipping()
    Subscription.objects.update(events=["order_confirmed"])
    placed = make_order((make_product("Lamp", price="29.99"), 2))
    drain()
    tell()
    ((_, body),) = receiver.got
    order = json.loads(body)["order"]
    assert (order["uuid"], order["totalAmount"], order["status"]) == (str(placed.uuid), 64.98, "Confirmed")
    assert [(line["productName"], line["quantity"]) for line in order["items"]] == [("Lamp", 2)]
    assert order["customerName"] == "Alice"
    assert order["links"]["track"].startswith("/track/opo_")


def test_events_of_one_order_arrive_in_their_order(receiver, providers, drain):
    """A later event waits for an earlier one that has to be tried again, and for none of another order."""
    make_shipping()
    Subscription.objects.update(events=[])
    first = make_order((make_product(), 1))
    drain()
    while journal_reader.record_page():
        pass
    receiver.answers = [500]
    webhooks.deliver_batch()
    assert not webhooks.is_due() or webhooks.deliver_batch() is False
    other = make_order((make_product(), 1), hold=True)
    while journal_reader.record_page():
        pass
    while webhooks.deliver_batch():
        pass
    make_it_due()
    while webhooks.deliver_batch():
        pass
    told = [json.loads(body) for _, body in receiver.got]
    of_first = [body["sequence"] for body in told if body["orderId"] == first.order_id]
    assert of_first == sorted(of_first)
    assert of_first[:2] == [1, 1]
    assert [body["orderId"] for body in told].index(other.order_id) == 1


def test_a_test_delivery_is_signed_and_seen_among_the_deliveries(receiver, client):
    client.force_login(User.objects.create_superuser("admin"))
    subscription = Subscription.objects.get()
    path = f"/api/webhooks/{subscription.pk}"
    for number in (1, 2):
        queued = client.post(f"{path}/test", {}, content_type="application/json")
        assert (queued.status_code, queued.json()["sequence"], queued.json()["orderId"]) == (
            202,
            number,
            None,
        )
    while webhooks.deliver_batch():
        pass
    library = standardwebhooks.Webhook(subscription.secret)
    assert [library.verify(body, headers)["event"] for headers, body in receiver.got] == ["webhook_test"] * 2
    states = [each["state"] for each in client.get(f"{path}/deliveries").json()["results"]]
    assert states == ["delivered", "delivered"]
    Subscription.objects.update(active=False)
    assert client.post(f"{path}/test", {}, content_type="application/json").status_code == 409


@pytest.mark.parametrize("answer", [500, 404, 302])
def test_what_was_not_taken_is_tried_again_later(receiver, answer):
    receiver.answers = [answer]
    make_order((make_product(), 1))
    delivery = tell()
    assert (delivery.state, delivery.status_code, delivery.attempts) == ("waiting", answer, 1)
    assert not webhooks.is_due()
    make_it_due()
    assert tell().state == "delivered"
    assert len(receiver.got) == 2
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_it_is_given_up_after_so_many_tries_and_can_be_told_again(receiver, settings, client):
    settings.WEBHOOK_ATTEMPTS = 1
    receiver.answers = [500]
    make_order((make_product(), 1))
    delivery = tell()
    assert (delivery.state, delivery.due_at) == ("failed", None)
    assert "given up" in delivery.failure
    client.force_login(User.objects.create_superuser("admin"))
    answer = client.post(
        f"/api/webhooks/deliveries/{delivery.pk}/redeliver", {}, content_type="application/json"
    )
    assert answer.json()["state"] == "waiting"
    assert tell().state == "delivered"


def test_what_went_to_the_archive_is_given_up_and_keeps_nobody_waiting(receiver):
    gone = make_order((make_product(), 1)).order_id
    make_order((make_product(), 1))
    while journal_reader.record_page():
        pass
    OrderEvent.objects.filter(order_id=gone).delete()
    Order.objects.filter(pk=gone).delete()
    webhooks.deliver_batch()
    assert list(Delivery.objects.order_by("id").values_list("state", "failure")) == [
        ("failed", "the order is in the archive"),
        ("delivered", ""),
    ]


def test_nobody_there_is_tried_again(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    Subscription.objects.create(url=f"http://127.0.0.1:{free_port()}/", events=["order_placed"])
    make_order((make_product(), 1))
    assert tell().state == "waiting"


def test_only_what_was_asked_for_is_told(receiver, providers, drain):
    make_order((make_product(), 1))
    drain()
    assert tell().event == "order_placed"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:a00:1::",
        "fec0::1",
    ],
)
def test_addresses_of_our_own_network_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14"])
def test_addresses_on_the_internet_are_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/",
        "ftp://shop.example/",
        "https://user:pass@shop.example/",
        "https:///path",
        "shop.example",
        "https://a:99999/",
        "https://a:0/",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_https_address_is_not_called(url):
    with pytest.raises(NotAllowed):
        check_url(url)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"])
def test_a_name_that_leads_to_ourselves_is_not_called(host):
    with pytest.raises(NotAllowed, match="private"):
        outgoing.post(f"https://{host}/", b"{}", {})


def test_staff_subscribe_and_see_the_secret_once(client):
    client.force_login(User.objects.create_superuser("admin"))
    body = {"url": "https://shop.example/hook", "events": ["order_confirmed"]}
    made = client.post("/api/webhooks", body, content_type="application/json")
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    (listed,) = client.get("/api/webhooks").json()["results"]
    assert (listed["url"], listed["events"], listed["secret"]) == (body["url"], body["events"], None)
    assert client.get(f"/api/webhooks/{listed['id']}/deliveries").json()["results"] == []
    assert client.delete(f"/api/webhooks/{listed['id']}").status_code == 204


def test_a_repeat_of_the_creation_does_not_show_the_secret_and_it_is_not_stored(client):
    client.force_login(User.objects.create_superuser("admin"))
    request = {
        "data": {"url": "https://shop.example/hook"},
        "content_type": "application/json",
        "headers": {"Idempotency-Key": "once"},
    }
    first, again = (client.post("/api/webhooks", **request) for _ in range(2))
    secret = first.json()["secret"]
    assert secret == Subscription.objects.get().secret
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.json() == first.json() | {"secret": None}
    assert secret not in json.dumps(IdempotencyKey.objects.get().answer)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://shop.example/"}, "address_not_allowed"),
        ({"url": "https://shop.example/", "events": ["no_such_event"]}, "invalid"),
        ({"url": "https://127.0.0.1/"}, "address_not_allowed"),
        ({"url": "https://0x7f.1/"}, "address_not_allowed"),
        ({"url": "https://[::1]/"}, "address_not_allowed"),
        ({"url": "https://localhost/"}, "address_not_allowed"),
        ({"url": "https://receiver.internal./"}, "address_not_allowed"),
        ({}, "required"),
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused(client, body, code):
    client.force_login(User.objects.create_superuser("admin"))
    answer = client.post("/api/webhooks", body, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_an_unknown_event_is_answered_with_those_there_are(client):
    client.force_login(User.objects.create_superuser("admin"))
    body = {"url": "https://shop.example/", "events": ["order_placed", "order.confirmed"]}
    error = client.post("/api/webhooks", body, content_type="application/json").json()["error"]
    assert error["field"] == "events[1]"
    assert "order_confirmed, " in error["message"]


def test_others_may_not_subscribe(client):
    for user in (make_user(), make_user(is_staff=True)):
        client.force_login(user)
        assert client.get("/api/webhooks").status_code == 403
