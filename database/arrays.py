"""Columns of many rows as PostgreSQL array literals, for statements that unnest them.

psycopg can pass lists by itself, but looks at each element on its own, which for a batch of orders costs more
than all the rest of a step. A literal is one string, and PostgreSQL takes it apart in C.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

# A column: its type in PostgreSQL, and a value for each row.
Column = tuple[str, Sequence[Any]]


def numbers(values: Iterable[object]) -> str:
    """Return the literal of an array of numbers (None: NULL), also of Decimal."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def words(values: Iterable[object]) -> str:
    """Return the literal of an array of what needs no quoting: codes of ASCII letters, UUIDs, true and false.

    An empty text does need it, and gets it.
    """
    return "{" + ",".join([str(value) or '""' for value in values]) + "}"


def texts(values: Iterable[str]) -> str:
    """Return the literal of an array of any texts; PostgreSQL's hold no NUL."""
    values = list(values)
    joined = "\0".join(values)
    if joined.count("\0") >= max(1, len(values)):
        raise ValueError("A text holds NUL.")
    # All of them are quoted at once, which is much faster than one after the other.
    quoted = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return f'{{"{quoted}"}}' if values else "{}"


_JSON = msgspec.json.Encoder()


def document(value: object) -> str:
    """Return a value as the text of a jsonb, several times as fast as `json.dumps`."""
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
    """Return rows as a subquery, and its parameters. The first column tells the rows apart.

    Orders of a batch have nearly everything in common: a column whose values are all the same is sent, and
    taken apart, once. The names and types become part of the statement: they are constants of ours.
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
