"""Note through which node's broker a batch travels: limits count those of one node."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0012_idempotency_keys_to_api"),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="node",
            field=models.CharField(db_default="", max_length=100),
        ),
    ]
