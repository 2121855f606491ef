"""Without an index on what is unknown, writing an outcome down touches the row's page and nothing else."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_webhook_events")]

    operations = [
        migrations.RemoveIndex("transaction", "payments_unknown"),
        migrations.RunSQL(
            "ALTER TABLE payments_transaction SET (fillfactor = 45)",
            "ALTER TABLE payments_transaction SET (fillfactor = 60)",
        ),
    ]
