"""Note the runs of steps in advance only where a batch may lose its worker."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0008_step_runs"),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="is_watched",
            field=models.BooleanField(db_default=False),
        ),
    ]
