"""The queue for stock in a table of its own.

The index of journeys that waited made PostgreSQL write to all indexes when any order's stock was reserved.
"""

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

# Processes of the release before add none: what they leave waiting is retried every ten seconds, and queued then.
QUEUE = """
    INSERT INTO orders_stockqueue SELECT order_id FROM orders_journey WHERE stock = 'short' ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [
        ("orders", "0024_language"),
    ]

    operations = [
        migrations.CreateModel(
            name="StockQueue",
            fields=[("order_id", models.BigIntegerField(primary_key=True, serialize=False))],
        ),
        migrations.RunSQL(QUEUE, migrations.RunSQL.noop),
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        RemoveIndexConcurrently(model_name="journey", name="orders_short_of_stock"),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
