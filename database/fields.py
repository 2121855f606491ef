"""Model fields."""

from typing import Any

from django.db import models

# Of the currencies with the most.
DECIMAL_PLACES = 3


class MoneyField(models.DecimalField):
    """An amount of money, in the decimals of its currency: see `iso.currencies`.

    The column is `numeric` without a precision, which keeps the digits that it is given. So a column that had a
    precision changes without a rewrite, and another currency needs no migration.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 13, "decimal_places": DECIMAL_PLACES} | kwargs)

    def db_type(self, connection: Any) -> str:  # noqa: ARG002
        return "numeric"
