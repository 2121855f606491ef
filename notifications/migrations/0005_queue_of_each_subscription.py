"""Find what is due to one subscription at the same cost however much waits for the others."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [
        ("notifications", "0004_standing_of_subscriptions"),
    ]

    operations = [
        # Many deliveries take minutes, and waits for transactions that began before.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="delivery",
            index=models.Index(
                fields=["subscription", "due_at"],
                condition=Q(due_at__isnull=False),
                name="webhooks_due_by_one",
            ),
        ),
        RemoveIndexConcurrently(
            model_name="delivery",
            name="webhooks_due",
        ),
        # Who goes on with this connection, as tests do, is to give up as ever.
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
