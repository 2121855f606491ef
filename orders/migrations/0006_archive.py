"""Where orders of long ago go, each in one row that is kept compressed."""

import django.contrib.postgres.indexes
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0005_permissions"),
    ]

    operations = [
        migrations.CreateModel(
            name="ArchivedOrder",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("uuid", models.UUIDField(unique=True, verbose_name="UUID")),
                ("owner_id", models.BigIntegerField()),
                (
                    "month",
                    models.DateField(help_text="The first day of the month in which it was placed."),
                ),
                ("kept_amount", models.DecimalField(decimal_places=2, max_digits=12)),
                ("document", models.JSONField()),
                ("archived_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    django.contrib.postgres.indexes.BrinIndex(
                        autosummarize=True, fields=["month"], name="orders_archived_month"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ArchivedUnits",
            fields=[
                ("product_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("quantity", models.BigIntegerField()),
            ],
            options={"verbose_name_plural": "archived units"},
        ),
        # Compressed in its row, and not only from two kilobytes on.
        migrations.RunSQL(
            "ALTER TABLE orders_archivedorder ALTER COLUMN document SET STORAGE MAIN;"
            " ALTER TABLE orders_archivedorder SET (toast_tuple_target = 128)",
            migrations.RunSQL.noop,
        ),
    ]
