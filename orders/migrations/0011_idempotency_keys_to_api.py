"""Leave the table of idempotency keys to the app `api`. The table itself stays."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0010_losses_of_batches"), ("api", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.DeleteModel(name="IdempotencyKey")]
        )
    ]
