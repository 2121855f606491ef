"""Emptying the database after a test that commits, in milliseconds; Django's flush takes a quarter of a second."""

from django.db import connection
from django.test import TransactionTestCase

# Filled by `migrate`, and changed by no test.
KEPT = {"django_content_type", "auth_permission"}


def clean_quickly() -> None:
    """Have every test that commits end with `empty_tables` instead of a flush, which recreates the kept rows."""
    TransactionTestCase._fixture_teardown = lambda _: empty_tables()  # type: ignore[attr-defined]


def empty_tables() -> None:
    """Truncate the tables that have rows, except the kept ones."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    has_rows = [f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in names if name not in KEPT]  # noqa: S608 - our own tables
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(has_rows))
        if filled := [name for (name,) in cursor.fetchall()]:
            cursor.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
