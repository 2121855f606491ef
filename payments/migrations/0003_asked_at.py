"""How long a call may still be on its way counts from when a person last set out to make it."""

import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import F


def copy_start(apps, schema_editor):
    apps.get_model("payments", "Transaction").objects.filter(state="unknown").update(asked_at=F("started_at"))


class Migration(migrations.Migration):
    dependencies = [("payments", "0002_storage")]

    operations = [
        migrations.AddField(
            model_name="transaction",
            name="asked_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.RunPython(copy_start, migrations.RunPython.noop),
    ]
