"""Give each product a version that every write changes; processes of the last release leave it as it is."""

from django.db import migrations, models

import inventory.managers


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0003_product_currency_is_a_code"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="product",
            options={"base_manager_name": "objects", "ordering": ["id"]},
        ),
        migrations.AddField(
            model_name="product",
            name="version",
            # The last release places orders by a statement in which a column `version` would be ambiguous.
            field=models.BigIntegerField(
                db_column="catalogue_version",
                db_default=0,
                default=inventory.managers.new_version,
                editable=False,
            ),
        ),
    ]
