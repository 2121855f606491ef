"""Columns as PostgreSQL array literals, for statements that unnest them.

psycopg's adaptation of lists costs more than the rest of a step.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

# PostgreSQL type, and one value per row.
Column = tuple[str, Sequence[Any]]


def numbers(values: Iterable[object]) -> str:
    """Return an array literal of numbers, Decimal included; None is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def words(values: Iterable[object]) -> str:
    """Return an array literal of values without special characters."""
    return "{" + ",".join([str(value) or '""' for value in values]) + "}"


def texts(values: Iterable[str]) -> str:
    """Return an array literal of texts. Raises ValueError for NUL."""
    values = list(values)
    joined = "\0".join(values)
    if joined.count("\0") >= max(1, len(values)):
        raise ValueError("A text holds NUL.")
    # Faster than one by one.
    quoted = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return f'{{"{quoted}"}}' if values else "{}"


_JSON = msgspec.json.Encoder()


def document(value: object) -> str:
    """Return JSON for a jsonb column, faster than `json.dumps`."""
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
    """Return rows as a subquery and its parameters; the first column is the key.

    Equal values are sent and parsed once. Names and types go into the SQL: constants only.
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
