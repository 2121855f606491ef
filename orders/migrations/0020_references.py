"""The shop's own reference of an order, unique for each account, and its own facts."""

from django.db import migrations, models

NAME = "orders_reference_of_owner"
CREATE = f"""
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {NAME}
    ON orders_order (external_reference, owner_id) WHERE NOT external_reference = ''
"""


class Migration(migrations.Migration):
    # Beside running processes.
    atomic = False

    dependencies = [
        ("orders", "0019_lanes"),
    ]

    operations = [
        # Defaults of the database rewrite nothing, and serve processes of the release before.
        migrations.AddField(
            model_name="order",
            name="external_reference",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The shop's own reference, of one order of the account.",
                max_length=64,
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="metadata",
            field=models.JSONField(
                blank=True, db_default={}, default=dict, help_text="The shop's own facts."
            ),
        ),
        # It scans the orders and waits for transactions that began before.
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            # A try that failed leaves an invalid index.
            database_operations=[
                migrations.RunSQL(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}", migrations.RunSQL.noop),
                migrations.RunSQL(CREATE, f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}"),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="order",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("external_reference", ""), _negated=True),
                        fields=("external_reference", "owner"),
                        name=NAME,
                    ),
                ),
            ],
        ),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
