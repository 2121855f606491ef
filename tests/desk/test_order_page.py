"""One order at the desk: notes, assignee, tags, and one history of everything."""

from datetime import timedelta

import pytest
from django.urls import reverse

from desk.models import Handling, Note
from notifications.models import Channel, Delivery, Kind, Notification, State, Subscription
from orders import commands
from orders.maintenance import archive
from orders.models import Journey
from scheduling.slots import database_now

pytestmark = pytest.mark.django_db


def page_of(client, order) -> str:
    answer = client.get(reverse("admin:orders_order_change", args=[order.pk]), follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def act(client, order, name: str, *args, **data):
    return client.post(reverse(f"admin:orders_order_{name}", args=[order.pk, *args]), data, follow=True)


def said(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def a_mail(order, **fields) -> Notification:
    defaults = {
        "sequence": 1,
        "owner_id": order.owner_id,
        "kind": Kind.CONFIRMED,
        "channel": Channel.EMAIL,
        "recipient": "ann@example.com",
        "state": State.FAILED,
        "failure": "mailbox full",
    }
    return Notification.objects.create(order_id=order.pk, **defaults | fields)


def a_delivery(order) -> Delivery:
    subscription = Subscription.objects.create(url="https://shop.example/hook")
    return Delivery.objects.create(
        subscription=subscription,
        order_id=order.pk,
        sequence=1,
        event="order_placed",
        state=Delivery.State.FAILED,
        status_code=500,
    )


def test_a_note_stands_in_the_history_with_its_author(client, operator, order):
    act(client, order, "note", text="Customer called.\n<b>Ring back</b>")
    page = page_of(client, order)
    assert "Customer called.<br>&lt;b&gt;Ring back&lt;/b&gt;" in page
    assert "olga" in page


def test_an_empty_note_is_refused(client, operator, order):
    assert said(act(client, order, "note", text="  ")) == ["Write something first."]
    assert not Note.objects.exists()


def test_an_order_is_assigned_and_tagged_and_that_is_logged(client, operator, order):
    act(client, order, "handle", assignee="olga", tags="VIP, fragile,vip")
    handling = Handling.objects.get()
    assert (handling.assignee, handling.tags) == (operator, ["vip", "fragile"])
    assert "Assigned to olga; Tagged vip, fragile." in page_of(client, order)


@pytest.mark.parametrize(
    ("data", "why"),
    [({"assignee": "nobody"}, "not an active operator"), ({"tags": "a;b"}, "cannot be a tag")],
)
def test_impossible_assignees_and_tags_are_refused_with_the_reason(client, operator, order, data, why):
    (message,) = said(act(client, order, "handle", **data))
    assert why in message
    assert not Handling.objects.exists()


def test_events_notes_actions_mails_and_webhooks_are_one_history_by_time(client, operator, order):
    act(client, order, "note", text="A note")
    client.post(
        reverse("admin:orders_order_operate", args=["cancel"]), {"order": order.pk, "reason": "Changed mind"}
    )
    a_mail(order)
    a_delivery(order)
    history = client.get(reverse("admin:orders_order_change", args=[order.pk])).context["history"]
    assert {item.kind for item in history} == {"event", "note", "action", "mail", "webhook"}
    assert [item.at for item in history] == sorted(item.at for item in history)
    assert [item.who for item in history if item.kind in ("note", "action")] == ["olga", "olga"]


def test_a_failed_mail_is_resent_from_the_orders_page(client, operator, order):
    mail = a_mail(order)
    page = page_of(client, order)
    assert "mailbox full" in page
    assert reverse("admin:orders_order_resend", args=[order.pk, "mail", mail.pk]) in page
    assert said(act(client, order, "resend", "mail", mail.pk)) == ["It will be sent again."]
    mail.refresh_from_db()
    assert mail.state == State.WAITING
    assert "already waiting" in said(act(client, order, "resend", "mail", mail.pk))[0]


def test_a_failed_webhook_is_redelivered_from_the_orders_page(client, operator, order):
    delivery = a_delivery(order)
    assert "https://shop.example/hook" in page_of(client, order)
    act(client, order, "resend", "webhook", delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.WAITING


def test_another_orders_mail_is_not_sent_from_here(client, operator, order):
    mail = a_mail(order)
    order.pk += 1
    assert client.post(
        reverse("admin:orders_order_resend", args=[order.pk, "mail", mail.pk])
    ).status_code in (302, 404)
    mail.refresh_from_db()
    assert mail.state == State.FAILED


def test_an_onlooker_reads_and_writes_nothing(client, onlooker, order):
    mail = a_mail(order)
    page = page_of(client, order)
    assert "Add note" not in page
    assert "ann@example.com" not in page
    for name, args in (("note", ()), ("handle", ()), ("resend", ("mail", mail.pk))):
        assert act(client, order, name, *args, text="x").status_code == 403
    assert not Note.objects.exists()


def test_notes_stay_with_an_archived_order(client, operator, order):
    act(client, order, "note", text="Worth remembering")
    Journey.objects.filter(order_id=order.pk).update(due_at=None)
    commands.cancel_orders(order_ids=[order.pk], reason="Changed mind")
    assert list(archive.move(before=database_now() + timedelta(seconds=1)))
    page = page_of(client, order)
    assert "Archived orders are read-only" in page
    assert "Worth remembering" in page
