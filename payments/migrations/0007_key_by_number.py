"""Let an order have any number of transactions of a kind: its key is the number.

Takes the table's lock for a moment and rewrites nothing. Workers of the release before have to be stopped, as
their statements name the old key: see docs/operations.md.
"""

from django.db import migrations, models



class Migration(migrations.Migration):
    dependencies = [("payments", "0006_number_and_key")]

    operations = [
        migrations.RunSQL(
            "DROP TRIGGER IF EXISTS payments_number_by_kind ON payments_transaction;"
            "DROP FUNCTION IF EXISTS payments_number_by_kind()",
            migrations.RunSQL.noop,
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE payments_transaction DROP CONSTRAINT payments_transaction_pkey,"
                    " ADD CONSTRAINT payments_transaction_pkey PRIMARY KEY USING INDEX payments_by_number;"
                    "ALTER TABLE payments_transaction DROP CONSTRAINT payments_has_number",
                    "ALTER TABLE payments_transaction"
                    " ADD CONSTRAINT payments_has_number CHECK (number IS NOT NULL),"
                    " DROP CONSTRAINT payments_transaction_pkey,"
                    " ADD CONSTRAINT payments_transaction_pkey PRIMARY KEY (order_id, kind);"
                    "CREATE UNIQUE INDEX payments_by_number ON payments_transaction (order_id, number)",
                ),
            ],
            state_operations=[
                migrations.AlterField(
                    "transaction",
                    "pk",
                    models.CompositePrimaryKey(
                        "order_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
            ],
        ),
    ]
