"""A node that is about to stop: it is not ready, and its dispatcher claims nothing more."""

from django.conf import settings

FILE = "draining"


def is_draining() -> bool:
    """Whether this node's data folder has the marker file: a restart creates it, the node's start deletes it."""
    return (settings.DATA_DIR / FILE).exists()
