"""Claim single orders, and bulks of different owners, beside each other."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [
        ("orders", "0018_credits"),
    ]

    operations = [
        # A default of the database rewrites nothing, and serves processes of the release before.
        migrations.AddField(
            model_name="journey",
            name="lane",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        # As large as the work in flight, but it waits for transactions that began before.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="journey",
            index=models.Index(
                fields=["lane", "due_at"],
                condition=models.Q(("due_at__isnull", False)),
                name="orders_due_by_lane",
            ),
        ),
        RemoveIndexConcurrently(
            model_name="journey",
            name="orders_due",
        ),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
