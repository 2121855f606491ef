"""After a restore into a cluster that counts its transactions from the beginning."""

import pytest
from django.core.management import CommandError, call_command

from monitoring import health
from notifications import journal_reader, restored
from notifications.models import JournalCursor, Notification
from orders import journal
from orders.models import OrderEvent
from tests.factories import make_order, make_product, make_shipping

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def restored_shop(providers):
    """A journal and a reader whose numbers are from a cluster that was 3,000 transactions further."""
    make_order((make_product(), 1))
    far = journal.oldest_running() + 3000
    OrderEvent.objects.update(transaction_id=far)
    JournalCursor.objects.create(name=journal_reader.CURSOR, transaction_id=far, order_id=2**62)


def read_on() -> int:
    return sum(iter(journal_reader.record_page, 0))


def test_a_reader_ahead_of_the_cluster_is_noticed(restored_shop):
    assert restored.is_behind()
    assert health.journal_part().state is health.State.UNHEALTHY
    with pytest.raises(CommandError, match="missing"):
        call_command("restored", check=True)


def test_readers_go_on_where_they_were(restored_shop, drain):
    make_shipping()
    call_command("restored")
    assert not restored.is_behind()
    assert health.journal_part().state is health.State.HEALTHY
    make_order((make_product(), 1))
    drain()
    assert read_on() > 0
    assert Notification.objects.filter(kind="confirmed").exists()
    call_command("restored", check=True)


def test_a_cluster_that_was_never_restored_needs_nothing(capsys):
    make_order((make_product(), 1))
    read_on()
    call_command("restored")
    assert "Nothing to do" in capsys.readouterr().out
