"""Values in Django's cache as JSON: unpickling would run whatever is in Valkey."""

from typing import Any

import msgspec


class JsonSerializer:
    """For CACHES' `OPTIONS`. Invalid JSON counts as missing."""

    def dumps(self, value: Any) -> bytes | int:
        """Return the stored form; integers unchanged, so that Valkey can increment them."""
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return msgspec.json.encode(value)

    def loads(self, data: bytes) -> Any:
        try:
            return msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
