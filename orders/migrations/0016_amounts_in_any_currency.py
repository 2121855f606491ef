"""Amounts keep the decimals of their currency: `numeric` without a precision, which is no rewrite.

The check on a column is dropped first and validated afterwards: else the table is scanned under an exclusive lock.
"""

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

import database.fields

NAME = "orders_line_price_positive"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("orders", "0015_version_of_links")]

    operations = [
        migrations.AlterField("order", "goods_amount", database.fields.MoneyField()),
        migrations.AlterField("journey", "shipping_amount", database.fields.MoneyField(blank=True, null=True)),
        migrations.AlterField("archivedorder", "kept_amount", database.fields.MoneyField()),
        migrations.RemoveConstraint("orderline", NAME),
        migrations.AlterField("orderline", "unit_price", database.fields.MoneyField()),
        AddConstraintNotValid(
            "orderline", models.CheckConstraint(condition=models.Q(unit_price__gt=0), name=NAME)
        ),
        migrations.RunSQL("SET statement_timeout = 0", migrations.RunSQL.noop),
        ValidateConstraint("orderline", NAME),
        migrations.RunSQL("RESET statement_timeout", migrations.RunSQL.noop),
    ]
