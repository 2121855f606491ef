"""Gifts: a price of 0 is allowed.

The new check is validated beside running processes; then the stricter old one is dropped.
"""

from decimal import Decimal

import django.core.validators
from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

import database.fields

NAME = "inventory_product_price_not_negative"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("inventory", "0005_amounts_in_any_currency")]

    operations = [
        migrations.AlterField(
            "product",
            "price",
            database.fields.MoneyField(
                help_text="0: a gift.", validators=[django.core.validators.MinValueValidator(Decimal(0))]
            ),
        ),
        AddConstraintNotValid("product", models.CheckConstraint(condition=models.Q(price__gte=0), name=NAME)),
        migrations.RunSQL("SET statement_timeout = 0", migrations.RunSQL.noop),
        ValidateConstraint("product", NAME),
        migrations.RunSQL("RESET statement_timeout", migrations.RunSQL.noop),
        migrations.RemoveConstraint("product", "inventory_product_price_positive"),
    ]
