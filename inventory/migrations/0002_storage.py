"""A product's stock row is rewritten by every batch that sells it: keep most of its page free for that."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE inventory_stockitem SET (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_vacuum_cost_delay = 0)",
            "ALTER TABLE inventory_stockitem RESET (fillfactor, autovacuum_vacuum_scale_factor,"
            " autovacuum_vacuum_cost_delay)",
        ),
    ]
