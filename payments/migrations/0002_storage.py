"""Each transaction is rewritten once, when its outcome is known: leave room for that in its page."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE payments_transaction SET (fillfactor = 60)",
            "ALTER TABLE payments_transaction RESET (fillfactor)",
        ),
    ]
