"""Leave room in the pages of rows that are rewritten on the way, so that a rewrite stays in its page."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE orders_journey SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05,"
            " autovacuum_vacuum_cost_delay = 0)",
            "ALTER TABLE orders_journey RESET (fillfactor, autovacuum_vacuum_scale_factor,"
            " autovacuum_vacuum_cost_delay)",
        ),
    ]
