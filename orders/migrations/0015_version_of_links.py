"""Note the version of an order's signed links: raising it revokes those signed before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0014_opaque_payment_tokens"),
    ]

    operations = [
        migrations.AddField(
            model_name="order",
            name="link_version",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
    ]
