"""Columns of many rows as PostgreSQL array literals, for statements that unnest them.

psycopg can pass lists by itself, but looks at each element on its own, which for a batch of orders costs more
than all the rest of a step. A literal is one string, and PostgreSQL takes it apart in C.
"""

from collections.abc import Iterable


def numbers(values: Iterable[object]) -> str:
    """Return the literal of an array of numbers (None: NULL), also of Decimal."""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def words(values: Iterable[object]) -> str:
    """Return the literal of an array of what needs no quoting: codes of ASCII letters, UUIDs, true and false.

    An empty text does need it, and gets it.
    """
    return "{" + ",".join(str(value) or '""' for value in values) + "}"


def texts(values: Iterable[str]) -> str:
    """Return the literal of an array of any texts."""
    return "{" + ",".join(quoted(value) if value else '""' for value in values) + "}"


def quoted(text: str) -> str:
    """Return a text as an element of an array literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
