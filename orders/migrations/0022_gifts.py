"""Gifts: a unit price of 0 is allowed.

The new check is validated beside running processes; then the stricter old one is dropped.
"""

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

NAME = "orders_line_price_not_negative"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("orders", "0021_gateway_of_orders")]

    operations = [
        AddConstraintNotValid(
            "orderline", models.CheckConstraint(condition=models.Q(unit_price__gte=0), name=NAME)
        ),
        migrations.RunSQL("SET statement_timeout = 0", migrations.RunSQL.noop),
        ValidateConstraint("orderline", NAME),
        migrations.RunSQL("RESET statement_timeout", migrations.RunSQL.noop),
        migrations.RemoveConstraint("orderline", "orders_line_price_positive"),
    ]
