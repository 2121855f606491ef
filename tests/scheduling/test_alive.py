"""The health check of processes that listen on no port."""

import pytest
from django.core.management import CommandError, call_command

from scheduling import slots

pytestmark = pytest.mark.django_db


def test_a_beat_that_ticked_is_alive(capsys):
    slots.once_per_slot(name="beat", interval=10, work=lambda: None, now=slots.database_now())
    call_command("alive", "beat")
    assert "alive" in capsys.readouterr().out


def test_a_beat_that_never_ticked_is_not():
    with pytest.raises(CommandError, match="No recent heartbeat"):
        call_command("alive", "beat")
