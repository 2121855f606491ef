"""Remember how often in a row the orders of a batch were lost: those that wait for a provider count nothing else."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0009_watched_batches"),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="losses",
            field=models.SmallIntegerField(db_default=0),
        ),
    ]
