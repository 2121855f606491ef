"""Amounts keep the decimals of their currency: `numeric` without a precision, which is no rewrite.
"""

from django.db import migrations

import database.fields


class Migration(migrations.Migration):
    dependencies = [("shipping", "0002_rate_currency_is_a_code")]

    operations = [
        migrations.AlterField("rate", "price", database.fields.MoneyField()),
        migrations.AlterField(
            "rate",
            "free_from",
            database.fields.MoneyField(
                blank=True, help_text="Goods worth this much or more ship free.", null=True
            ),
        ),
    ]
