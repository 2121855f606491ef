"""Leave the table of idempotency keys to the app `api`. The table itself stays."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0011_queue_for_stock"), ("api", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel(name="IdempotencyKey")]
        )
    ]
