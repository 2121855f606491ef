"""What the API's description says of an operation, at run time."""

from typing import Any


def schema_of(view: type[Any], method: str) -> Any:
    """Return drf-spectacular's schema of an operation; None without one."""
    handler = getattr(view, method.lower(), None)
    kind = getattr(handler, "kwargs", {}).get("schema")
    if kind is None:
        return None
    schema = kind()
    schema.view, schema.method = view(request=None, kwargs={}), method.upper()
    return schema
