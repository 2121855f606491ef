"""Tell batches of bulks from those of orders placed one by one, which may leave beside them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0025_stock_queue"),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="is_bulk",
            field=models.BooleanField(db_default=False),
        ),
    ]
