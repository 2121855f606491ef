"""What customers are told by e-mail: once per event, in the right words, whatever the provider does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client
from django.utils import timezone

from notifications import delivery, journal_reader
from notifications.mail import name_to_greet
from notifications.models import JournalCursor, MailCount, Notification
from orders import commands
from orders.models import Order
from providers.breaker import breaker
from tests.factories import make_order, make_product, make_shipping, make_user
from tests.notifications.conftest import token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def mailbox(providers):
    """The provider's mailbox, empty."""
    breaker("email").reset()
    providers.call("DELETE", "/email/messages")
    yield providers
    breaker("email").reset()


def make_addressed_order(*lines, email="alice@example.com", **options):
    placed = make_order(*lines, **options)
    Order.objects.filter(pk=placed.order_id).update(email=email)
    return placed


def record_everything():
    while journal_reader.record_page():
        pass


def send_everything():
    while delivery.deliver_batch():
        pass


def mails(mailbox):
    return mailbox.call("GET", "/email/messages?limit=100")["items"]


def make_it_due():
    Notification.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1))


def test_a_confirmed_order_is_told_of_in_an_e_mail(drain, mailbox):
    make_shipping()
    placed = make_addressed_order((make_product("Lamp", price="29.99"), 2))
    drain()
    record_everything()
    send_everything()
    (mail,) = mails(mailbox)
    assert mail["to"] == "alice@example.com"
    assert mail["subject"] == f"Your order {placed.number} is confirmed"
    for text in (mail["text"], mail["html"]):
        assert "Lamp" in text
        assert "59.98" in text
        assert "64.98" in text
    assert Notification.objects.get().state == "sent"


def make_customer(address="alice@example.com"):
    """A user whose account has this address."""
    user = make_user()
    user.email = address
    user.save()
    return user


def test_a_refused_order_is_told_why(drain, mailbox):
    make_shipping()
    make_addressed_order((make_product(units=0), 1), owner=make_customer("Alice@Example.com"))
    drain()
    record_everything()
    send_everything()
    (mail,) = mails(mailbox)
    assert "couldn't accept" in mail["subject"]
    assert "Not everything you ordered is in stock." in mail["text"]
    assert "You were not charged." in mail["text"]


def test_a_cancelled_order_is_told_what_becomes_of_the_money(drain, mailbox):
    make_shipping()
    placed = make_addressed_order((make_product(price="10.00"), 1))
    drain()
    commands.cancel_order(order_id=placed.order_id, reason="Changed my_mind <b>")
    drain()
    record_everything()
    send_everything()
    cancelled, confirmed = mails(mailbox)
    assert confirmed["subject"].endswith("is confirmed")
    assert "Your refund of $15.00 is on its way." in cancelled["text"]
    assert "Changed my_mind <b>" in cancelled["text"]
    assert "Changed my_mind &lt;b&gt;" in cancelled["html"]


def test_bad_news_go_to_no_address_that_nothing_was_confirmed_to(drain, mailbox):
    make_shipping()
    make_addressed_order((make_product(units=0), 1))
    held = make_addressed_order((make_product(), 1), hold=True)
    commands.cancel_order(order_id=held.order_id, reason="")
    drain()
    record_everything()
    send_everything()
    assert mails(mailbox) == []
    for dropped in Notification.objects.all():
        assert (dropped.state, dropped.due_at) == ("dropped", None)
        assert dropped.failure == "no order of this account was confirmed to this address"


def test_bad_news_go_where_an_order_of_the_same_account_was_confirmed(drain, mailbox):
    make_shipping()
    owner = make_user()
    make_addressed_order((make_product(), 1), owner=owner)
    drain()
    record_everything()
    make_addressed_order((make_product(units=0), 1), owner=owner, email="ALICE@example.com")
    make_addressed_order((make_product(units=0), 1))  # another account's
    drain()
    record_everything()
    send_everything()
    assert len(mails(mailbox)) == 2
    assert list(Notification.objects.order_by("id").values_list("state", flat=True)) == [
        "sent",
        "sent",
        "dropped",
    ]


def test_an_address_gets_so_many_e_mails_an_hour_and_more_in_the_next(drain, mailbox, settings):
    settings.MAILS_PER_RECIPIENT_PER_HOUR = 3
    make_shipping()
    product = make_product(units=100)
    for _ in range(5):
        make_addressed_order((product, 1))
    make_addressed_order((product, 1), email="bob@example.com")
    drain()
    record_everything()
    dropped = Notification.objects.filter(state="dropped")
    assert (
        list(dropped.values_list("recipient", "failure"))
        == [("alice@example.com", "too many e-mails to this address within an hour")] * 2
    )
    MailCount.objects.update(since=timezone.now() - timedelta(minutes=61))
    make_addressed_order((product, 1))
    drain()
    record_everything()
    send_everything()
    assert len(mails(mailbox)) == 5
    assert dropped.count() == 2


def test_an_account_causes_so_many_e_mails_an_hour(drain, settings):
    settings.MAILS_PER_ACCOUNT_PER_HOUR = 3
    make_shipping()
    owner, product = make_user(), make_product(units=100)
    for number in range(5):
        make_addressed_order((product, 1), owner=owner, email=f"customer{number}@example.com")
    make_addressed_order((product, 1))
    drain()
    record_everything()
    dropped = Notification.objects.filter(state="dropped")
    assert {each.failure for each in dropped} == {"too many e-mails of this account within an hour"}
    assert dropped.count() == 2


def test_reading_the_journal_again_counts_nothing_twice(drain):
    make_shipping()
    make_addressed_order((make_product(), 1))
    drain()
    record_everything()
    JournalCursor.objects.update(transaction_id=0, order_id=0, sequence=0)
    record_everything()
    assert set(MailCount.objects.values_list("mails", flat=True)) == {1}


def test_no_limit_is_no_limit_and_counts_nothing(drain, settings):
    settings.MAILS_PER_RECIPIENT_PER_HOUR = settings.MAILS_PER_ACCOUNT_PER_HOUR = 0
    make_shipping()
    make_addressed_order((make_product(), 1))
    drain()
    record_everything()
    assert Notification.objects.get().state == "waiting"
    assert not MailCount.objects.exists()


def test_what_was_dropped_can_be_sent_by_staff(drain, mailbox):
    make_shipping()
    make_addressed_order((make_product(units=0), 1))
    drain()
    record_everything()
    assert delivery.resend(Notification.objects.all(), user_id=make_user().pk) == 1
    send_everything()
    assert len(mails(mailbox)) == 1


@pytest.mark.parametrize("name", ["Alice", "Dr. Anna-Lena O\u2019Neil Jr.", "José", "張 偉", "محمد علي"])
def test_a_name_is_greeted(name):
    assert name_to_greet(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Claim at https://evil.example/claim",
        "evil.example",
        "evil\uff0eexample",
        "evil\u3002example",
        "a@b.example",
        "Call 555 1234",
        "You won! Hurry",
        "you have won a price please come and get it",
        "x" * 61,
        "www.evil",
        "Alice <b>",
    ],
)
def test_what_could_be_a_link_or_a_message_is_not_greeted(name):
    assert name_to_greet(name) == ""


def test_an_order_without_an_address_is_only_on_record(drain, mailbox):
    make_shipping()
    make_order((make_product(), 1))
    drain()
    record_everything()
    send_everything()
    notification = Notification.objects.get()
    assert (notification.channel, notification.state, notification.due_at) == ("none", "recorded", None)
    assert mails(mailbox) == []


def test_each_event_is_recorded_once_by_many_workers_at_once(drain):
    make_shipping()
    product = make_product(units=100)
    for _ in range(20):
        make_addressed_order((product, 1))
    drain()
    _at_once(record_everything, times=6)
    assert Notification.objects.count() == 20
    Notification.objects.update(state="waiting")
    JournalCursor.objects.update(transaction_id=0, order_id=0, sequence=0)
    record_everything()
    assert Notification.objects.count() == 20


def test_each_e_mail_is_sent_once_by_many_workers_at_once(drain, mailbox):
    make_shipping()
    product = make_product(units=100)
    for _ in range(20):
        make_addressed_order((product, 1))
    drain()
    record_everything()
    _at_once(send_everything, times=6)
    assert len(mails(mailbox)) == 20
    assert Notification.objects.filter(state="sent", due_at=None, attempts=1).count() == 20


def test_a_try_that_was_lost_after_it_got_through_arrives_once(drain, mailbox, settings):
    settings.EXTERNAL_RETRY_ATTEMPTS = 1
    make_shipping()
    make_addressed_order((make_product(), 1))
    drain()
    record_everything()
    mailbox.set_faults("email", status500AfterRate=1)
    delivery.deliver_batch()
    waiting = Notification.objects.get()
    assert (waiting.state, waiting.attempts) == ("waiting", 1)
    assert waiting.failure
    mailbox.clear_faults()
    make_it_due()
    delivery.deliver_batch()
    assert Notification.objects.get().state == "sent"
    assert len(mails(mailbox)) == 1


def test_it_waits_longer_after_each_try_and_gives_up_in_the_end(drain, mailbox, settings):
    settings.EXTERNAL_RETRY_ATTEMPTS, settings.EMAIL_ATTEMPTS = 1, 3
    make_shipping()
    make_addressed_order((make_product(), 1))
    drain()
    record_everything()
    mailbox.set_faults("email", errorRate=1)
    waits = []
    for _ in range(3):
        make_it_due()
        before = timezone.now()
        delivery.deliver_batch()
        due_at = Notification.objects.get().due_at
        waits.append(due_at and round((due_at - before).total_seconds()))
    assert waits == [1, 2, None]
    failed = Notification.objects.get()
    assert (failed.state, failed.attempts) == ("failed", 3)
    assert failed.failure.startswith("given up after 3 tries")


def test_a_provider_that_is_known_to_be_down_uses_up_no_tries(drain, mailbox, settings):
    settings.EXTERNAL_RETRY_ATTEMPTS, settings.EMAIL_ATTEMPTS = 1, 1000
    make_shipping()
    make_addressed_order((make_product(), 1))
    drain()
    record_everything()
    mailbox.set_faults("email", down=True)
    for _ in range(40):
        make_it_due()
        delivery.deliver_batch()
    assert breaker("email").state().state == "open"
    notification = Notification.objects.get()
    assert notification.attempts < 20
    assert notification.failure == "its breaker is open"


def test_an_address_that_is_refused_is_not_tried_again(drain, mailbox):
    make_shipping()
    make_addressed_order((make_product(), 1), email="not an address")
    drain()
    record_everything()
    send_everything()
    assert Notification.objects.get().state == "failed"


def test_sending_again_is_another_e_mail_only_if_the_first_one_went(drain, mailbox):
    make_shipping()
    make_addressed_order((make_product(), 1))
    drain()
    record_everything()
    send_everything()
    assert delivery.resend(Notification.objects.all(), user_id=make_user().pk) == 1
    send_everything()
    assert len(mails(mailbox)) == 2
    Notification.objects.update(state="failed")
    assert delivery.resend(Notification.objects.all(), user_id=make_user().pk) == 1
    send_everything()
    assert len(mails(mailbox)) == 2
    assert Notification.objects.get().state == "sent"


def test_customers_list_their_own_and_note_what_they_have_read(drain):
    make_shipping()
    alice, bob, staff = make_user("alice"), make_user("bob"), make_user("staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_notification"))
    product = make_product()
    placed = make_addressed_order((product, 1), owner=alice)
    make_addressed_order((product, 1), owner=bob)
    drain()
    record_everything()
    (hers,) = _api(alice).get("/api/notifications").json()["results"]
    assert (hers["orderId"], hers["kind"], hers["readAt"]) == (placed.order_id, "confirmed", None)
    assert len(_api(staff).get("/api/notifications").json()["results"]) == 2
    path = f"/api/notifications/{hers['id']}/read"
    assert _api(bob).post(path, content_type="application/json").status_code == 404
    read = _api(alice).post(path, content_type="application/json").json()
    assert read["readAt"]
    assert _api(alice).patch(path, content_type="application/json").json()["readAt"] == read["readAt"]


def test_pages_follow_one_another(drain):
    make_shipping()
    alice, product = make_user("alice"), make_product()
    for _ in range(3):
        make_order((product, 1), owner=alice)
    drain()
    record_everything()
    first = _api(alice).get("/api/notifications?pageSize=2").json()
    second = _api(alice).get(first["next"]).json()
    ids = [each["id"] for each in first["results"] + second["results"]]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), second["next"]) == (3, None)


def _api(user) -> Client:
    return Client(headers={"Authorization": token_of(user)})


def _at_once(work, *, times):
    def run(_):
        try:
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        list(pool.map(run, range(times)))
