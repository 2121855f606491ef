"""The language of an order's mails and page."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0023_money_lines"),
    ]

    operations = [
        # A default of the database rewrites nothing, and serves processes of the release before.
        migrations.AddField(
            model_name="order",
            name="language",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="BCP 47; empty: the shop's.",
                max_length=35,
            ),
        ),
    ]
