"""A node that is about to stop: it is not ready, and its dispatcher claims nothing more."""

from pathlib import Path

from django.conf import settings


def is_draining() -> bool:
    """Whether the marker file is there: a restart creates it, the node's start deletes it."""
    return Path(settings.DRAINING_FILE).exists()
