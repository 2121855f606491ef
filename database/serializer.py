"""How values are kept in Django's cache: as JSON, never as pickles, which run what they hold when they are read.

Anybody who can write to Valkey could otherwise run code in every process that looks something up.
"""

from typing import Any

import msgspec


class JsonSerializer:
    """For CACHES' `OPTIONS`. What is no JSON counts as missing."""

    def dumps(self, value: Any) -> bytes | int:
        """Return what is stored; whole numbers as they are, so that Valkey can count them."""
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return msgspec.json.encode(value)

    def loads(self, data: bytes) -> Any:
        """Return what was stored; None for anything else that lies there."""
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
