"""Disputes as transactions, found by an index of nearly no rows: none of its columns ever changes."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0010_amounts_in_any_currency")]

    operations = [
        migrations.AlterField(
            "transaction",
            "kind",
            models.CharField(
                max_length=9,
                choices=[
                    ("authorize", "Authorize"),
                    ("capture", "Capture"),
                    ("void", "Void"),
                    ("refund", "Refund"),
                    ("reversal", "Reversal"),
                    ("dispute", "Dispute"),
                ],
            ),
        ),
        AddIndexConcurrently(
            "transaction",
            models.Index(
                fields=["order_id"], condition=models.Q(("kind", "dispute")), name="payments_disputes"
            ),
        ),
    ]
