"""Find the end of the journal at the same cost however long it is and however fast it grows."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [
        ("orders", "0006_archive"),
    ]

    operations = [
        # A long journal takes minutes, and waits for transactions that began before.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="orderevent",
            index=models.Index(fields=["transaction_id"], name="orders_event_by_transaction"),
        ),
        RemoveIndexConcurrently(
            model_name="orderevent",
            name="orders_event_transaction",
        ),
        # Who goes on with this connection, as tests do, is to give up as ever.
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
