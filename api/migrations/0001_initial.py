"""Take over the table of idempotency keys as it stands: the API has an app of its own now."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [("orders", "0010_losses_of_batches")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="IdempotencyKey",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "owner_id", "key", blank=True, editable=False, primary_key=True, serialize=False
                            ),
                        ),
                        ("owner_id", models.BigIntegerField()),
                        ("key", models.CharField(max_length=200)),
                        ("request_hash", models.BinaryField(max_length=32)),
                        ("status_code", models.SmallIntegerField()),
                        ("answer", models.JSONField()),
                        (
                            "created_at",
                            models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                        ),
                    ],
                    options={
                        "db_table": "orders_idempotencykey",
                        "indexes": [models.Index(fields=["created_at"], name="orders_idempotency_created")],
                    },
                )
            ]
        )
    ]
