"""A customer's next action, and tokens of any provider. Neither change rewrites the table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0008_gateway_of_transactions")]

    operations = [
        migrations.AddField("transaction", "action", models.JSONField(null=True)),
        migrations.AlterField(
            "transaction",
            "token",
            models.CharField(
                blank=True, help_text="The provider's token for the card; never a number.", max_length=255
            ),
        ),
    ]
