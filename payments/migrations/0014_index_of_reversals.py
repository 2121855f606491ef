"""Find what failed after it had succeeded, for analytics, by an index of nearly no rows."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [("payments", "0013_paid_back_by_hand")]

    operations = [
        # A large table takes minutes, and waits for transactions that began before.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            "transaction",
            models.Index(
                fields=["order_id"], condition=models.Q(("kind", "reversal")), name="payments_reversals"
            ),
        ),
        # Tests go on with this connection.
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
