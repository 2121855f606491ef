"""Batches tell who travelled with them and what was done."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0003_batch_in_hand"),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="order_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), db_default=[], size=None
            ),
        ),
        migrations.AddField(
            model_name="batch",
            name="steps",
            field=models.JSONField(db_default=[]),
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(fields=["started_at"], name="orders_batch_started"),
        ),
    ]
