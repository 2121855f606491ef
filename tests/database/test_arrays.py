"""Array literals: whatever goes in comes out of PostgreSQL as it was."""

from decimal import Decimal

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from database.arrays import numbers, rows, texts, words


def read(literal: str, kind: str) -> list[object]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT %s::{kind}[]", [literal])
        return list(cursor.fetchone()[0])


@pytest.mark.django_db
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_any_text_comes_out_as_it_was(values: list[str]) -> None:
    assert read(texts(values), "text") == values


@pytest.mark.django_db
@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_any_number_comes_out_as_it_was(values: list[int | None]) -> None:
    assert read(numbers(values), "bigint") == values


@pytest.mark.django_db
def test_amounts_and_codes_come_out_as_they_were() -> None:
    assert read(numbers([Decimal("12.30"), None]), "numeric") == [Decimal("12.30"), None]
    assert read(words(["reserved", ""]), "text") == ["reserved", ""]
    assert read(words([True, False]), "bool") == [True, False]


@pytest.mark.django_db
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**31), 2**31 - 1),
            st.sampled_from(["", "a", 'say "NULL", \\{}']),
            st.booleans(),
            st.none() | st.decimals(-(10**9), 10**9, places=2),
        )
    )
)
def test_rows_come_out_as_they_were_whatever_they_have_in_common(values: list[tuple[object, ...]]) -> None:
    columns = (
        dict(zip("nthp", zip(*values, strict=True), strict=True)) if values else dict.fromkeys("nthp", ())
    )
    subquery, parameters = rows(
        {
            "place": ("int", list(range(len(values)))),
            "number": ("bigint", columns["n"]),
            "word": ("text", columns["t"]),
            "flag": ("bool", columns["h"]),
            "price": ("numeric", columns["p"]),
        }
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT number, word, flag, price FROM {subquery} r ORDER BY place", parameters)  # noqa: S608
        assert cursor.fetchall() == values


def test_what_all_rows_have_in_common_is_sent_once() -> None:
    _, parameters = rows({"id": ("bigint", [1, 2, 3]), "status": ("text", ["processing"] * 3)})
    assert parameters == ["processing", "{1,2,3}"]
