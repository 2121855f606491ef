"""Know the mails at receipt, refund and completion."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0008_given_up_messages"),
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
                ],
                max_length=10,
            ),
        ),
    ]
