"""The kind of mails about refunds of parts, whose name is longer: no rewrite of the table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0010_signatures_of_webhooks"),
    ]

    operations = [
        migrations.AlterField(
            model_name="notification",
            name="kind",
            field=models.CharField(
                choices=[
                    ("received", "Received"),
                    ("confirmed", "Confirmed"),
                    ("rejected", "Rejected"),
                    ("cancelled", "Cancelled"),
                    ("refunded", "Refunded"),
                    ("completed", "Completed"),
                    ("part_refunded", "Part Refunded"),
                ],
                max_length=20,
            ),
        ),
    ]
