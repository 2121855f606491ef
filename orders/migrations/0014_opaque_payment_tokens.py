"""Tokens of any payment provider. A longer varchar is no rewrite."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0013_batch_node")]

    operations = [
        migrations.AlterField(
            "order",
            "payment_token",
            models.CharField(help_text="The provider's token for the card; never a number.", max_length=255),
        ),
    ]
