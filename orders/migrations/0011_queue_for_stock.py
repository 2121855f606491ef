"""Find the orders that wait for units, and those that are held, whatever the history."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [
        ("orders", "0010_losses_of_batches"),
    ]

    operations = [
        # The new choice, which is no business of the database's.
        *(
            migrations.AlterField(
                model_name="journey",
                name=leg,
                field=models.CharField(
                    blank=True,
                    choices=[
                        ("", ""),
                        ("refused", "refused"),
                        ("short", "short"),
                        ("reserved", "reserved"),
                        ("released", "released"),
                        ("sold", "sold"),
                        ("quoted", "quoted"),
                        ("authorized", "authorized"),
                        ("captured", "captured"),
                        ("voided", "voided"),
                        ("refunded", "refunded"),
                        ("nothing", "nothing"),
                    ],
                    max_length=10,
                ),
            )
            for leg in ("stock", "shipping", "payment")
        ),
        # A large table takes minutes, and waits for transactions that began before.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            model_name="journey",
            index=models.Index(
                fields=["order"], condition=models.Q(stock="short"), name="orders_short_of_stock"
            ),
        ),
        AddIndexConcurrently(
            model_name="journey",
            index=models.Index(
                fields=["order"],
                condition=models.Q(due_at__isnull=True, status="pending"),
                name="orders_held",
            ),
        ),
        # Who goes on with this connection, as tests do, is to give up as ever.
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
