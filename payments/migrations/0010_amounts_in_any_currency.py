"""Amounts keep the decimals of their currency: `numeric` without a precision, which is no rewrite.

The check on a column is dropped first and validated afterwards: else the table is scanned under an exclusive lock.
"""

from django.contrib.postgres.operations import AddConstraintNotValid, ValidateConstraint
from django.db import migrations, models

import database.fields

NAME = "payments_amount_not_negative"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0009_actions_and_opaque_tokens")]

    operations = [
        migrations.RemoveConstraint("transaction", NAME),
        migrations.AlterField("transaction", "amount", database.fields.MoneyField()),
        AddConstraintNotValid(
            "transaction", models.CheckConstraint(condition=models.Q(amount__gte=0), name=NAME)
        ),
        migrations.RunSQL("SET statement_timeout = 0", migrations.RunSQL.noop),
        ValidateConstraint("transaction", NAME),
        migrations.RunSQL("RESET statement_timeout", migrations.RunSQL.noop),
    ]
