"""Amounts keep the decimals of their currency: `numeric` without a precision, which is no rewrite.
"""

from decimal import Decimal

import django.core.validators
from django.db import migrations

import database.fields


class Migration(migrations.Migration):
    dependencies = [("inventory", "0004_product_version")]

    operations = [
        migrations.AlterField(
            "product",
            "price",
            database.fields.MoneyField(
                validators=[django.core.validators.MinValueValidator(Decimal("0.001"))],
            ),
        ),
    ]
