"""Each row names its gateway. Rows of before are of the gateway that was set, as are those of old processes.

A column with a constant default is added without a rewrite.
"""

from django.conf import settings
from django.db import migrations, models


def add(apps, schema_editor):
    default = schema_editor.quote_value(settings.PAYMENT_GATEWAY)
    schema_editor.execute(
        f"ALTER TABLE payments_transaction ADD COLUMN gateway varchar(40) NOT NULL DEFAULT {default}"
    )


def remove(apps, schema_editor):
    schema_editor.execute("ALTER TABLE payments_transaction DROP COLUMN gateway")


class Migration(migrations.Migration):
    dependencies = [("payments", "0007_key_by_number")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(add, remove)],
            state_operations=[
                migrations.AddField(
                    model_name="transaction",
                    name="gateway",
                    field=models.CharField(db_default="http", max_length=40),
                ),
            ],
        ),
        migrations.AddField(
            "transaction", "provider_parent", models.CharField(blank=True, db_default="", max_length=64)
        ),
    ]
