"""Receivers of webhooks that drip their answers: they cost themselves something, and others nothing."""

import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone

from launcher.engines import free_port
from notifications import delivery, journal_reader, notices, visits, webhooks
from notifications.models import Delivery, Notification, Subscription
from notifications.outbox import Outcome
from providers import health
from providers.breaker import breaker
from tests.factories import make_order, make_product, make_user
from tests.fixtures.dripping import HANDSHAKE, HEAD, DripServer
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = 12


class Well(BaseHTTPRequestHandler):
    got: list[str] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(self.headers["Webhook-Id"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def in_a_hurry(settings, monkeypatch):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    settings.WEBHOOK_TIMEOUT_SECONDS = 1.0
    settings.WEBHOOK_CONCURRENCY, settings.WEBHOOK_CALLS_PER_SUBSCRIPTION = 4, 2
    monkeypatch.setattr(webhooks, "PATIENCE_SECONDS", 0.2)
    yield
    assert until(no_call_is_under_way), "calls outlive their test"


def no_call_is_under_way() -> bool:
    return not Subscription.objects.filter(leased_until__gt=Now()).exists()


@pytest.fixture
def well():
    Well.got = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Well)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield subscribe(f"http://127.0.0.1:{server.server_port}/hook")
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["head", "handshake"])
def drip(request):
    """A receiver that never ends the head of its answer, or its handshake."""
    is_head = request.param == "head"
    server = DripServer(beginning=HEAD if is_head else HANDSHAKE)
    yield server
    server.stop()


def address_of(drip: DripServer) -> str:
    return drip.url.replace("http:", "https:") if drip.beginning == HANDSHAKE else drip.url


def subscribe(url: str, **fields) -> Subscription:
    return Subscription.objects.create(url=url, events=["order_placed"], **fields)


def place_orders(number: int = ORDERS) -> None:
    product = make_product(units=1000)
    for _ in range(number):
        make_order((product, 1))
    while journal_reader.record_page():
        pass


def deliver_until(condition) -> bool:
    def turn() -> bool:
        webhooks.deliver_batch()
        return condition()

    return until(turn)


def test_a_well_receiver_gets_everything_while_others_drip(drip, well):
    for _ in range(6):  # more than there are threads
        subscribe(address_of(drip))
    place_orders()

    assert deliver_until(lambda: len(Well.got) == ORDERS)
    assert Delivery.objects.filter(subscription=well, state="delivered").count() == ORDERS
    assert not Delivery.objects.exclude(subscription=well).filter(state="delivered").exists()


def test_mails_and_health_checks_go_on_while_every_receiver_drips(drip, providers, settings):
    breaker("email").reset()
    settings.WEBHOOK_TIMEOUT_SECONDS = 5.0  # all the time that the rest takes
    for _ in range(6):
        subscribe(address_of(drip))
    place_orders()
    webhooks.deliver_batch()
    assert until(lambda: drip.open == settings.WEBHOOK_CONCURRENCY)
    (order_id,) = Delivery.objects.values_list("order_id", flat=True)[:1]
    mail = {"order_id": order_id, "sequence": 1, "owner_id": make_user().pk, "kind": "confirmed"}
    Notification.objects.create(
        **mail, channel="email", recipient="a@example.com", state="waiting", due_at=timezone.now()
    )

    while delivery.deliver_batch():
        pass

    assert Notification.objects.get().state == "sent"
    assert all(report.ok for report in health.check_all(timezone.now()))
    assert drip.open


def test_so_many_calls_go_to_one_subscription_at_once_however_often_they_are_due(drip, settings):
    settings.WEBHOOK_CONCURRENCY = 16
    subscribe(address_of(drip))
    place_orders()

    for _ in range(4):
        webhooks.deliver_batch()
        Delivery.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1))

    assert until(no_call_is_under_way)
    assert drip.most_open <= settings.WEBHOOK_CALLS_PER_SUBSCRIPTION
    assert until(lambda: not drip.open)


def test_a_dead_process_leaves_its_subscription_to_others_after_the_lease(well):
    place_orders(1)
    assert len(visits.claim()) == 1  # and then it dies
    assert not webhooks.is_due()

    Subscription.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    Delivery.objects.update(due_at=timezone.now() - timedelta(seconds=1))

    assert deliver_until(lambda: Well.got != [])


def test_a_visit_whose_lease_passed_to_another_draws_no_conclusions(well):
    place_orders(1)
    (late,) = visits.claim()
    Subscription.objects.update(leased_until=timezone.now() + timedelta(minutes=1), failures=7)

    late.lane_ended([(late.lanes[0][0], Outcome("delivered", status=204, taken=True))])

    well.refresh_from_db()
    assert well.failures == 7
    assert well.leased_until > timezone.now()
    Subscription.objects.update(leased_until=None)


def test_what_a_lane_did_not_get_to_has_used_up_no_try(settings):
    settings.WEBHOOK_CALLS_PER_SUBSCRIPTION = 1
    subscribe(f"http://127.0.0.1:{free_port()}/")
    place_orders(3)

    webhooks.deliver_batch()

    assert sorted(Delivery.objects.values_list("attempts", flat=True)) == [0, 0, 1]


def test_one_that_hangs_is_left_alone_for_longer_each_time_and_then_probed_with_one_call(drip):
    slow = subscribe(address_of(drip))
    place_orders()
    pauses = []
    for _ in range(4):
        calls = drip.calls
        webhooks.deliver_batch()
        assert until(no_call_is_under_way)
        slow.refresh_from_db()
        assert slow.retry_at is not None
        assert slow.leased_until is not None
        pauses.append(round((slow.retry_at - slow.leased_until).total_seconds()))
        assert not webhooks.is_due()
        Subscription.objects.update(retry_at=None)
        Delivery.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1))
    assert pauses == [1, 2, 4, 8]
    assert drip.calls == calls + 1


def fail_for_a_day(subscription: Subscription) -> None:
    Subscription.objects.filter(pk=subscription.pk).update(
        failures=visits.SWITCH_OFF_FAILURES - 1, failing_since=timezone.now() - timedelta(hours=25)
    )
    webhooks.deliver_batch()
    assert until(no_call_is_under_way)
    subscription.refresh_from_db()


def test_one_that_took_nothing_for_a_day_is_switched_off_and_its_owner_is_notified(drip, providers):
    breaker("email").reset()
    providers.call("DELETE", "/email/messages")
    owner = make_user()
    User.objects.filter(pk=owner.pk).update(email="owner@example.com")
    off = subscribe(address_of(drip), owner=owner)
    place_orders()

    fail_for_a_day(off)

    assert not off.active
    assert off.switched_off_at is not None
    assert off.switched_off_reason == "it took nothing for 24 hours; at last: no answer in time"
    assert notices.is_due()
    for _ in range(2):
        notices.notify_owners()
    (mail,) = providers.call("GET", "/email/messages?limit=10")["items"]
    assert (mail["to"], mail["subject"]) == ("owner@example.com", "Your webhook was switched off")
    assert off.switched_off_reason in mail["text"]
    assert not notices.is_due()


def test_what_waited_for_one_that_was_switched_off_is_given_up_and_can_be_sent_again(drip):
    off = subscribe(address_of(drip))
    place_orders()
    fail_for_a_day(off)
    assert webhooks.is_due()

    while webhooks.deliver_batch():
        pass

    assert not webhooks.is_due()
    assert set(Delivery.objects.values_list("state", "failure")) == {
        ("failed", "the subscription is switched off")
    }
    assert webhooks.redeliver(Delivery.objects.all(), user_id=make_user().pk) == ORDERS


def test_an_owner_is_notified_later_while_the_e_mail_provider_is_away(providers, settings):
    breaker("email").reset()
    settings.EXTERNAL_RETRY_ATTEMPTS = 1
    owner = make_user()
    User.objects.filter(pk=owner.pk).update(email="owner@example.com")
    subscribe("https://shop.example/", owner=owner, active=False, switched_off_at=timezone.now())
    providers.set_faults("email", errorRate=1)
    notices.notify_owners()
    assert notices.is_due()
    providers.clear_faults()
    breaker("email").reset()
    assert notices.notify_owners() == 1
    assert not notices.is_due()


@pytest.mark.parametrize("way", ["PATCH", "button"])
def test_staff_switch_it_on_again_and_it_starts_afresh(way, client, well):
    fields = {
        "failures": 12,
        "failing_since": timezone.now(),
        "retry_at": timezone.now() + timedelta(hours=1),
    }
    Subscription.objects.update(
        active=False, switched_off_at=timezone.now(), switched_off_reason="it took nothing", **fields
    )
    client.force_login(User.objects.create_superuser("admin"))
    (shown,) = client.get("/api/webhooks").json()["results"]
    assert (shown["active"], shown["switchedOffReason"]) == (False, "it took nothing")
    assert shown["switchedOffAt"]

    if way == "PATCH":
        answer = client.patch(f"/api/webhooks/{well.pk}", {"active": True}, content_type="application/json")
        assert (answer.json()["active"], answer.json()["switchedOffAt"]) == (True, None)
    else:
        client.post(
            "/admin/notifications/subscription/", {"action": "switch_on", "_selected_action": [well.pk]}
        )

    well.refresh_from_db()
    assert (well.active, well.failures, well.failing_since, well.retry_at) == (True, 0, None, None)
    place_orders(1)
    assert deliver_until(lambda: len(Well.got) == 1)


def test_a_quiet_receiver_is_not_switched_off_for_one_failure(drip):
    quiet = subscribe(address_of(drip))
    Subscription.objects.update(failures=1, failing_since=timezone.now() - timedelta(days=3))
    place_orders(1)
    webhooks.deliver_batch()
    assert until(no_call_is_under_way)
    quiet.refresh_from_db()
    assert quiet.active


def test_one_success_makes_up_for_all_failures(well):
    Subscription.objects.update(failures=5, failing_since=timezone.now(), retry_at=timezone.now())
    place_orders(2)
    assert deliver_until(lambda: len(Well.got) == 2)
    well.refresh_from_db()
    assert (well.failures, well.failing_since, well.retry_at) == (0, None, None)
