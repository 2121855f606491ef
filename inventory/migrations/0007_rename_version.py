"""Rename the products' version where 0004 ran while it still called the column `version`."""

from django.db import migrations

RENAME = """
    DO $$ BEGIN
        IF EXISTS (
            SELECT FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name = 'inventory_product' AND column_name = 'version'
        ) THEN
            ALTER TABLE inventory_product RENAME COLUMN version TO catalogue_version;
        END IF;
    END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0006_gifts"),
    ]

    operations = [
        migrations.RunSQL(RENAME, migrations.RunSQL.noop),
    ]
