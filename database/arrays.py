"""Columns of many rows as PostgreSQL array literals.

psycopg adapts lists element by element, which for a batch costs more than the rest of a step; PostgreSQL parses a
literal in C.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

# type and values
Column = tuple[str, Sequence[Any]]


def numbers(values: Iterable[object]) -> str:
    """Return an array of numbers; None is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def words(values: Iterable[object]) -> str:
    """Return an array of values that need no escaping: ASCII codes, UUIDs, booleans, ""."""
    return "{" + ",".join([str(value) or '""' for value in values]) + "}"


def texts(values: Iterable[str]) -> str:
    """Return an array of texts. Raises ValueError for NUL."""
    values = list(values)
    joined = "\0".join(values)
    if joined.count("\0") >= max(1, len(values)):
        raise ValueError("A text holds NUL.")
    # one pass over all is much faster
    quoted = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return f'{{"{quoted}"}}' if values else "{}"


_JSON = msgspec.json.Encoder()


def document(value: object) -> str:
    """Return JSON, several times faster than `json.dumps`."""
    return _JSON.encode(value).decode()


LITERALS: Mapping[str, Callable[[Iterable[Any]], str]] = {
    "smallint": numbers,
    "int": numbers,
    "bigint": numbers,
    "float8": numbers,
    "numeric": numbers,
    "bool": words,
    "uuid": words,
    "text": texts,
    "jsonb": texts,
}


def rows(columns: Mapping[str, Column]) -> tuple[str, list[str | None]]:
    """Return the rows as a subquery with its parameters; the first column is the key.

    Columns with equal values, most of a batch, are sent once. Names and types become SQL, so they must be constants.
    """
    _, *others = columns
    alike = [name for name in others if _are_alike(columns[name][1])]
    constants = [f", %s::{columns[name][0]} AS {name}" for name in alike]
    varying = [name for name in columns if name not in alike]
    arrays = ", ".join(f"%s::{columns[name][0]}[]" for name in varying)
    subquery = f"(SELECT v.*{''.join(constants)} FROM unnest({arrays}) AS v({', '.join(varying)}))"  # noqa: S608
    return subquery, [_constant(columns[name][1][0]) for name in alike] + [
        LITERALS[columns[name][0]](columns[name][1]) for name in varying
    ]


def _are_alike(values: Sequence[Any]) -> bool:
    return bool(values) and values.count(values[0]) == len(values)


def _constant(value: object) -> str | None:
    return None if value is None else str(value)
