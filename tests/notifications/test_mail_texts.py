"""Every mail in each of its languages, plain and as HTML: all in one language, nothing missing, nothing relative."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from django.template.loader import render_to_string

from notifications import formats, notices
from notifications.mail import Mail, compose
from notifications.models import Kind, Notification, Subscription
from orders.events import EventType
from orders.models import Order, OrderEvent
from tests.factories import make_order, make_product, make_user

pytestmark = pytest.mark.django_db

ADDRESS = {"name": "Kay Web", "line1": "1 Main St", "city": "Austin", "region": "TX", "postalCode": "78701"}
# What happens to the order of the customer, and what each mail then quotes.
STORY: list[tuple[EventType, dict[str, Any]]] = [
    (EventType.SHIPPING_QUOTED, {"amount": "5.00"}),
    (EventType.CONFIRMED, {}),
    (EventType.REFUND_SUCCEEDED, {"amount": "1004.98"}),
    (EventType.REJECTED, {"reason": "out_of_stock"}),
    (EventType.MONEY_RETURNED, {"how": "refunded"}),
    (EventType.CANCELLED, {"reason": "payment_not_completed"}),
]
LAST = {
    Kind.RECEIVED: EventType.PLACED,
    Kind.CONFIRMED: EventType.CONFIRMED,
    Kind.PART_REFUNDED: EventType.REFUND_SUCCEEDED,
    Kind.REJECTED: EventType.REJECTED,
    Kind.CANCELLED: EventType.CANCELLED,
    Kind.REFUNDED: EventType.CANCELLED,
    Kind.COMPLETED: EventType.CANCELLED,
}
# Words that are in no sentence of the other language.
FOREIGN = {
    "de": "the your you we and is of for order shipping tax included total items view questions hi",
    "en": "der die das ihre wir und ist von bestellung versand steuer summe artikel fragen hallo",
}
GREETING = {"de": "Hallo", "en": "Hi"}
AMOUNT = {"de": r"\d+(\.\d{3})*,\d\d\xa0\$", "en": r"\$\d+(,\d{3})*\.\d\d"}


@pytest.fixture(autouse=True)
def shop(settings) -> None:
    settings.PUBLIC_URL, settings.SHOP_NAME = "https://orders.example", "Kay"
    settings.SHOP_URL, settings.SHOP_SUPPORT_EMAIL = "https://lamps.example", "help@lamps.example"
    settings.SHOP_LOGO_URL = "https://lamps.example/logo.png"
    [backend] = settings.TEMPLATES
    options = backend["OPTIONS"] | {"string_if_invalid": "MISSING %s"}
    settings.TEMPLATES = [backend | {"OPTIONS": options}]


def mails(language: str, *, name: str = "Alice") -> dict[str, Mail]:
    """Return a mail of each kind about one order."""
    placed = make_order((make_product("Lampe", price="1059.50"), 2), hold=True, customer_name=name)
    tax = {"kind": "tax", "code": "VAT", "amount": "19.25", "rate": "0.19"}
    Order.objects.filter(pk=placed.order_id).update(
        language=language, shipping_address=ADDRESS, adjustments=[tax], adjustment_amount="19.25"
    )
    order = Order.objects.get(pk=placed.order_id)
    start = OrderEvent.objects.filter(order=order).count()
    for number, (type_, data) in enumerate(STORY, start=start + 1):
        OrderEvent.objects.create(order=order, sequence=number, type=type_, data=data)
    at = {event.type: event.sequence for event in OrderEvent.objects.filter(order=order)}
    kinds = [Kind(kind) for kind in Kind.values]
    found = compose([Notification(order=order, kind=kind, sequence=at[LAST[kind]]) for kind in kinds])
    return dict(zip(kinds, found, strict=True))


def visible(html: str) -> str:
    """Return what a reader sees, in one line."""
    body = re.sub(r"<(head|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    inline = re.sub(r"</?(a|span|strong)\b[^>]*>", "", body)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", inline)).split())


def words(text: str) -> set[str]:
    without_links = re.sub(r"https?://\S+", "", text)  # a signature may have any letters
    return set(re.findall(r"[a-zäöüß]+", without_links.lower()))


def check_markup(mail: Mail) -> None:
    assert not re.search(r"MISSING|None|\{\{|\}\}|\{%|%\(|\{\w+\}|&amp;\w+;", mail.text + mail.html)
    assert '<meta name="color-scheme" content="light dark">' in mail.html
    for link in re.findall(r'(?:href|src)="([^"]*)"', mail.html):
        assert re.match(r"https://\w+\.example/|https://\w+\.example$|mailto:help@", link), link
    assert not re.search(r"(?<![\w.])/(api|track|admin)", mail.text)


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_mail_to_customers_is_whole_in_its_language(language: str) -> None:
    for kind, mail in mails(language).items():
        check_markup(mail)
        for text in (mail.subject, mail.text, visible(mail.html)):
            assert not words(text) & set(FOREIGN[language].split()), (kind, text)
            assert not re.search(r"[a-zäöüß]  [a-zäöüß]|^ |\s[.,]", text, re.MULTILINE), (kind, text)
        assert f'<html lang="{language}">' in mail.html
        assert "prefers-color-scheme: dark" in mail.html
        for amount in re.findall(r"[^ \n]*\d[.,]\d\d\b[^ \n.]*", mail.text):
            assert re.fullmatch(AMOUNT[language], amount), (kind, amount)
        assert "https://orders.example/track/" in mail.text
        assert 'href="https://orders.example/track/' in mail.html


@pytest.mark.parametrize("language", ["en", "de"])
def test_plain_and_html_have_the_same_sentences(language: str) -> None:
    for kind, mail in mails(language).items():
        seen = visible(mail.html)
        for line in mail.text.splitlines():
            sentence = " ".join(line.split()).removesuffix(":").removesuffix(".")
            assert sentence.startswith("https://") or sentence in seen, (kind, line)


@pytest.mark.parametrize(("language", "name"), [("en", "Alice"), ("de", "Alice"), ("en", ""), ("de", "")])
def test_each_mail_greets_in_the_same_way(language: str, name: str) -> None:
    greeting = f"{GREETING[language]} {name},".replace(" ,", ",")
    for mail in mails(language, name=name or "http://spam.example").values():
        assert mail.text.startswith(f"{greeting}\n\n{mail.subject}.\n")
        assert f">{greeting}</p>" in mail.html


def test_the_mail_about_a_webhook_has_its_time_with_the_zone_and_a_whole_address(monkeypatch) -> None:
    owner = make_user()
    owner.email = "owner@lamps.example"
    owner.save()
    at = datetime(2026, 11, 30, 20, 5, tzinfo=UTC)
    hook = Subscription.objects.create(
        url="https://receiver.example/hook",
        owner=owner,
        switched_off_at=at,
        switched_off_reason="it accepted nothing for 24 h",
    )
    sent: list[Mail] = []
    monkeypatch.setattr(notices, "send", lambda mail, key: sent.append(mail))
    assert notices.notify_owners() == 1
    [mail] = sent
    check_markup(mail)
    for text in (mail.text, visible(mail.html)):
        assert text.startswith("Hi,")
        assert "2026-11-30 20:05 UTC" in text
        assert f"PATCH https://orders.example/api/webhooks/{hook.pk} " in text


def test_the_mail_for_a_new_password_has_a_whole_link() -> None:
    user = SimpleNamespace(get_username=lambda: "kay")
    context = {"user": user, "domain": "orders.example", "protocol": "https", "uid": "MQ", "token": "a-b"}
    text, html = (render_to_string(f"admin/password_reset.{form}", context) for form in ("txt", "html"))
    check_markup(Mail("kay@lamps.example", "", text, html))
    link = re.search(r"https://orders\.example/\S+/MQ/a-b/", text)
    assert link
    assert f'href="{link.group()}"' in html
    assert text.startswith("Hi,\n\n")
    assert visible(html).startswith("Hi, ")


@pytest.mark.parametrize(("currency", "shown"), [("HUF", "HUF10.50"), ("IQD", "IQD10.500"), ("JPY", "¥10")])
def test_an_amount_is_written_with_the_decimals_that_are_charged(currency: str, shown: str) -> None:
    """Unicode's data has those of cash: none of HUF and IQD."""
    amount = Decimal("10") if currency == "JPY" else Decimal("10.5")
    assert formats.money(amount, currency).replace("\xa0", "") == shown


@pytest.mark.parametrize(
    ("declined", "shown"),
    [
        (EventType.PAYMENT_DECLINED, "The payment was declined."),
        (EventType.CAPTURE_DECLINED, "The payment could not be completed."),
    ],
)
def test_a_providers_own_code_is_not_mailed(declined: EventType, shown: str) -> None:
    placed = make_order((make_product(), 1), hold=True)
    order, code = Order.objects.get(pk=placed.order_id), {"reason": "stolen_card"}
    OrderEvent.objects.create(order=order, sequence=8, type=declined, data=code)
    OrderEvent.objects.create(order=order, sequence=9, type=EventType.REJECTED, data=code)
    (mail,) = compose([Notification(order=order, kind=Kind.REJECTED, sequence=9)])
    assert shown in mail.text
    assert "stolen" not in mail.text + mail.html
