"""The mails along an order's way: when, in which words and language, by which way, and how a shop replaces them."""

import socketserver
import threading
from decimal import Decimal
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from django.template import engines

from config.environment import email_backend
from inventory.models import Product
from launcher.engines import free_port
from notifications import delivery, journal_reader
from notifications.mail import Mail, compose, subject_of
from notifications.mailer import send
from notifications.models import Kind, Notification
from orders import commands
from orders.http import links
from orders.models import Order
from orders.refunding import parts
from orders.refunding.amounts import Wish
from providers.breaker import breaker
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from tests.factories import make_order, make_product, make_shipping, make_user

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = {"name": "Kay Web", "line1": "1 Main St", "city": "Austin", "region": "TX", "postalCode": "78701"}


@pytest.fixture(autouse=True)
def shop(settings):
    breaker("email").reset()
    settings.PUBLIC_URL, settings.SHOP_NAME = "https://orders.example", "Kay's Lamps"
    settings.SHOP_SUPPORT_EMAIL = "help@lamps.example"
    yield settings
    breaker("email").reset()


@pytest.fixture
def customer(providers):
    """An account whose own address its orders name."""
    user = make_user("kay")
    user.email = "kay@example.com"
    user.save()
    return user


def place(customer, *, units=100, **options):
    lamp = Product.objects.filter(name="Lamp").first() or make_product("Lamp", price="29.99", units=units)
    placed = make_order((lamp, 2), owner=customer, **options)
    Order.objects.filter(pk=placed.order_id).update(email=customer.email, shipping_address=ADDRESS)
    return placed


def record():
    while journal_reader.record_page():
        pass


def written() -> list[Mail]:
    return compose(list(Notification.objects.select_related("order").order_by("id")))


def way_to(kind, customer, drain):
    """Take an order as far as the mail, and return it."""
    make_shipping()
    order = place(customer, units=0 if kind == "rejected" else 100, hold=kind == "received")
    if kind != "received":
        drain()
    if kind in ("completed", "refunded"):
        commands.complete_order(order_id=order.order_id)
    if kind in ("cancelled", "refunded"):
        commands.cancel_order(order_id=order.order_id, reason="", returning=True)
        drain()
    record()
    return order


@pytest.mark.parametrize(
    ("kind", "subject", "words"),
    [
        ("received", "We've received your order {}", "Nothing has been charged yet."),
        ("confirmed", "Your order {} is confirmed", "It is confirmed and paid."),
        ("rejected", "We couldn't accept your order {}", "You were not charged."),
        ("cancelled", "Your order {} is cancelled", "Your refund of $64.98 is on its way."),
        ("refunded", "Your refund for order {}", "Your refund of $64.98 is on its way."),
        ("completed", "Your order {} has shipped", "on its way to you"),
    ],
)
def test_each_step_has_its_mail_with_shop_link_and_contact(kind, subject, words, customer, drain):
    order = way_to(kind, customer, drain)
    mail = written()[-1]
    assert [each.kind for each in Notification.objects.order_by("-id")[:1]] == [kind]
    assert mail.subject == subject.format(order.number)
    assert mail.text.startswith(f"Hi Alice,\n\n{mail.subject}.\n")
    link = f"https://orders.example/track/{links.track_token(order.order_id, order.placed_at)}"
    for text in (mail.text, mail.html):
        for wanted in (
            words,
            "2 \N{MULTIPLICATION SIGN} Lamp",
            "$59.98",
            "Kay&#x27;s Lamps" if text is mail.html else "Kay's Lamps",
        ):
            assert wanted in text
        for wanted in (link, "help@lamps.example", "Austin, TX 78701"):
            assert wanted in text
    assert "\n\n\n" not in mail.text
    assert "prefers-color-scheme: dark" in mail.html


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("A refund for your order {}", "$4.98 of your order", "Your refund of $60.00 is on its way.")),
        ("de", ("Eine Erstattung zu Ihrer Bestellung {}", "4,98\xa0$ Ihrer Bestellung", "von 60,00\xa0$")),
    ],
)
def test_a_refund_of_a_part_has_a_mail_and_a_cancellation_then_returns_the_rest(
    language, words, customer, drain, shop
):
    shop.SHOP_LANGUAGE, (subject, part, rest) = language, words
    order = way_to("confirmed", customer, drain)
    parts.refund_part(order_id=order.order_id, wish=Wish(amount=Decimal("4.98")))
    drain()
    commands.cancel_order(order_id=order.order_id, reason="")
    drain()
    record()
    _, refund, cancelled = written()
    assert refund.subject == subject.format(order.number)
    assert f"{refund.subject}.\n" in refund.text
    for text in (refund.text, refund.html):
        assert part in text
    for text in (cancelled.text, cancelled.html):
        assert rest in text


def test_every_kind_has_its_templates():
    for kind in Kind.values:
        for form in ("_subject.txt", ".txt", ".html"):
            engines["django"].get_template(f"notifications/{kind}{form}")


def test_a_receipt_waits_and_is_not_sent_when_the_confirmation_comes_first(customer, providers, drain, shop):
    make_shipping()
    place(customer)
    record()
    assert Notification.objects.get().kind == "received"
    assert not delivery.is_due()
    drain()
    record()
    assert [each.kind for each in Notification.objects.all()] == ["confirmed"]


def test_a_receipt_goes_to_new_addresses_only_if_the_shop_vouches_for_them(shop):
    stranger = make_user()
    stranger.email = ""
    place(stranger)
    Order.objects.update(email="new@example.com")
    record()
    assert not Notification.objects.exists()
    shop.RECEIPTS_TO_NEW_ADDRESSES = True
    place(stranger)
    Order.objects.update(email="new@example.com")
    record()
    assert [each.kind for each in Notification.objects.all()] == ["received"]


def test_it_speaks_the_shops_language(customer, providers, drain, shop):
    shop.SHOP_LANGUAGE = "de"
    order = way_to("confirmed", customer, drain)
    (mail,) = written()
    assert mail.subject == f"Ihre Bestellung {order.number} ist bestätigt"
    assert mail.text.startswith("Hallo Alice,\n\nIhre Bestellung")
    assert "64,98\xa0$" in mail.text
    assert "Vereinigte Staaten" in mail.text
    assert '<html lang="de">' in mail.html


@pytest.mark.parametrize(("language", "greeting"), [("de-AT", "Hallo"), ("en-GB", "Hi"), ("fr", "Hallo")])
def test_an_orders_own_language_comes_before_the_shops(language, greeting, customer, drain, shop):
    shop.SHOP_LANGUAGE = "de"
    order = way_to("received", customer, drain)
    Order.objects.filter(pk=order.order_id).update(language=language)
    (mail,) = written()
    assert mail.text.startswith(f"{greeting} Alice,")
    assert subject_of(Notification.objects.get()) == mail.subject


def test_a_shop_replaces_templates_by_its_own(customer, providers, drain, shop, tmp_path):
    folder = tmp_path / "notifications"
    folder.mkdir()
    (folder / "confirmed_subject.txt").write_text("Yay,\n{{ shop.name }} got {{ order.number }}!\n")
    (folder / "letter.txt").write_text("Ahoy {{ name }}! {% block body %}{% endblock %} {{ total }}")
    [backend] = shop.TEMPLATES
    shop.TEMPLATES = [backend | {"DIRS": [str(tmp_path), *backend["DIRS"]]}]
    order = way_to("confirmed", customer, drain)
    (mail,) = written()
    assert mail.subject == f"Yay, Kay&#x27;s Lamps got {order.number}!"
    assert mail.text.startswith("Ahoy Alice!")


# --- By SMTP ----------------------------------------------------------------------------------------------


class Mailbox:
    """What an SMTP server took, and what it answers."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802 - aiosmtpd's name for it
        if self.answer.startswith("250"):
            self.got.append(envelope.content)
        return self.answer


@pytest.fixture
def smtp(shop, monkeypatch):
    """An SMTP server, and settings as EMAIL_URL makes them."""
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    use(shop, monkeypatch, server.port)
    yield mailbox
    server.stop()


def use(settings, monkeypatch, port: int) -> None:
    monkeypatch.setenv("EMAIL_URL", f"smtp://127.0.0.1:{port}")
    for name, value in email_backend().items():
        if name != "EMAIL_BACKEND":  # the tests' own would win
            setattr(settings, name, value)
    settings.EMAIL_BACKEND = "notifications.smtp.Backend"
    settings.MAIL_BY_API, settings.DEFAULT_FROM_EMAIL = False, "orders@lamps.example"


LETTER = Mail("kay@example.com", "Your order", "Text, ü", "<p>HTML</p>")


def test_mails_go_by_smtp_as_text_and_html_under_one_id(smtp):
    send(LETTER, key="7:2")
    (raw,) = smtp.got
    mail = message_from_bytes(raw, policy=policy.default)
    assert mail["From"] == "Kay's Lamps <orders@lamps.example>"
    assert (mail["To"], mail["Reply-To"]) == ("kay@example.com", "help@lamps.example")
    assert mail["Message-ID"] == "<7.2@lamps.example>"
    parts = {part.get_content_type(): part.get_content().strip() for part in mail.iter_parts()}
    assert parts == {"text/plain": "Text, ü", "text/html": "<p>HTML</p>"}


def test_the_outbox_sends_by_smtp(smtp, customer, providers, drain):
    way_to("confirmed", customer, drain)
    delivery.deliver_batch()
    assert Notification.objects.get().state == "sent"
    assert len(smtp.got) == 1


@pytest.mark.parametrize(
    ("answer", "error"), [("550 No such user", ProviderRefused), ("451 Try later", ProviderUnavailable)]
)
def test_a_refusal_ends_it_and_a_passing_one_is_retried(smtp, answer, error):
    smtp.answer = answer
    with pytest.raises(error):
        send(LETTER, key="7:2")


def test_a_server_that_drips_its_answer_is_cut_at_one_deadline(shop, monkeypatch):
    over = threading.Event()

    class Drips(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while not over.wait(0.05):
                self.request.sendall(b"220-still here\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            over.set()  # the client is gone

    with Server(("127.0.0.1", 0), Drips) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        use(shop, monkeypatch, server.server_address[1])
        shop.EXTERNAL_TIMEOUT_SECONDS = 0.3
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            send(LETTER, key="7:2")
        assert over.wait(10)
        server.shutdown()


def test_a_back_end_of_anymail_is_used_with_its_errors_understood(shop, monkeypatch):
    monkeypatch.setenv("EMAIL_BACKEND", "anymail.backends.test.EmailBackend")
    monkeypatch.setenv("ANYMAIL", '{"POSTMARK_SERVER_TOKEN": "secret"}')
    monkeypatch.delenv("EMAIL_URL", raising=False)
    found = email_backend()
    assert found["ANYMAIL"] == {"REQUESTS_TIMEOUT": 10.0, "POSTMARK_SERVER_TOKEN": "secret"}
    shop.EMAIL_BACKEND, shop.MAIL_BY_API = found["EMAIL_BACKEND"], False
    shop.DEFAULT_FROM_EMAIL = "orders@lamps.example"
    send(LETTER, key="7:2")
