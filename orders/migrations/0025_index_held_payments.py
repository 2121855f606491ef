"""Find the orders that staff capture, whatever the history: their authorizations expire."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [("orders", "0024_language")]

    operations = [
        # A large table takes minutes, and waits for transactions that began before.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="journey",
            index=models.Index(
                fields=["order"], condition=models.Q(("payment", "held")), name="orders_payment_held"
            ),
        ),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
