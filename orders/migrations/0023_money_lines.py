"""Adjustments of orders, and several lines of one product with properties of their own.

The defaults rewrite nothing, and serve processes of the release before: their lines are number 0, without properties.
"""

from decimal import Decimal

from django.db import migrations, models

import database.fields

NAME = "orders_orderline_by_number"
CREATE = f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON orders_orderline (order_id, product_id, number)"
# Under a short lock: the index is built, and none of its columns is null.
SWAP = f"""
    ALTER TABLE orders_orderline DROP CONSTRAINT orders_orderline_pkey,
        ADD CONSTRAINT orders_orderline_pkey PRIMARY KEY USING INDEX {NAME}
"""
SWAP_BACK = """
    ALTER TABLE orders_orderline DROP CONSTRAINT orders_orderline_pkey, ADD PRIMARY KEY (order_id, product_id)
"""


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [("orders", "0022_gifts")]

    operations = [
        migrations.AddField("order", "adjustments", models.JSONField(blank=True, null=True)),
        migrations.AddField(
            "order",
            "adjustment_amount",
            database.fields.MoneyField(
                db_default=0, default=Decimal(0), help_text="The sum of the adjustments that are not included."
            ),
        ),
        migrations.AddField("orderline", "number", models.SmallIntegerField(db_default=0, default=0)),
        migrations.AddField("orderline", "properties", models.JSONField(blank=True, help_text="The shop's own facts of the line.", null=True)),
        migrations.AlterModelOptions(
            name="orderline",
            options={"ordering": ["product_id", "number"]},
        ),
        migrations.AlterModelOptions(
            name="order",
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("operate_order", "Can process, complete, cancel, refund and retry any order"),
                    ("complete_order", "Can complete any order"),
                    ("refund_order", "Can refund any order, and retry it"),
                    ("price_order", "Can give prices and adjustments of the orders it places"),
                ],
            },
        ),
        # It scans the lines and waits for transactions that began before.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            # A try that failed leaves an invalid index.
            database_operations=[
                migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}", migrations.RunSQL.noop),
                migrations.RunSQL(CREATE, f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}"),
            ],
        ),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(SWAP, SWAP_BACK)],
            state_operations=[
                migrations.AlterField(
                    "orderline",
                    "pk",
                    models.CompositePrimaryKey(
                        "order_id",
                        "product_id",
                        "number",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
        ),
    ]
