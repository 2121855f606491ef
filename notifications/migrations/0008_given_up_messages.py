"""Count what was given up without reading what was sent; built beside running processes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("notifications", "0007_no_secrets_in_stored_answers"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="notification",
            index=models.Index(condition=Q(("state", "failed")), fields=["id"], name="notifications_given_up"),
        ),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(condition=Q(("state", "failed")), fields=["id"], name="webhooks_given_up"),
        ),
    ]
