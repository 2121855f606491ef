"""Number each order's transactions and store their keys, beside processes that know neither.

Rows of the release before get both from a trigger. It goes, and the key changes, with the next migration.
"""

from django.db import connection, migrations, models

# Rows per transaction: locks are held for some hundred milliseconds.
WINDOW = 10_000

NUMBERS = "array_position(ARRAY['authorize', 'capture', 'void', 'refund'], {kind}::text)"
PARENTS = "CASE {kind} WHEN 'authorize' THEN NULL WHEN 'refund' THEN 2 ELSE 1 END"

TRIGGER = f"""
    CREATE FUNCTION payments_number_by_kind() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.number IS NULL THEN
            NEW.number := {NUMBERS.format(kind="NEW.kind")};
            NEW.parent := {PARENTS.format(kind="NEW.kind")};
            NEW.key := NEW.reference || ':' || NEW.kind;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER payments_number_by_kind BEFORE INSERT ON payments_transaction
        FOR EACH ROW EXECUTE FUNCTION payments_number_by_kind();
"""
DROP_TRIGGER = """
    DROP TRIGGER IF EXISTS payments_number_by_kind ON payments_transaction;
    DROP FUNCTION IF EXISTS payments_number_by_kind();
"""

# In the order of the key, as the ledger's own statements lock rows.
FILL = f"""
    WITH unnumbered AS (
        SELECT order_id, kind FROM payments_transaction WHERE order_id >= %s AND order_id <= %s AND number IS NULL
        ORDER BY order_id, kind FOR UPDATE
    )
    UPDATE payments_transaction t
    SET number = {NUMBERS.format(kind="t.kind")}, parent = {PARENTS.format(kind="t.kind")},
        key = t.reference || ':' || t.kind
    FROM unnumbered u WHERE t.order_id = u.order_id AND t.kind = u.kind
"""
NEXT = """
    SELECT min(order_id), max(order_id) FROM (
        SELECT order_id FROM payments_transaction WHERE order_id > %s ORDER BY order_id LIMIT %s) w
"""


def fill(_apps: object, schema_editor: object) -> None:
    """Number the rows from before, a window at a time."""
    last = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(NEXT, [last, WINDOW])
            first, last = cursor.fetchone()
            if first is None:
                return
            cursor.execute(FILL, [first, last])


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("payments", "0005_states_stay_in_their_page")]

    operations = [
        migrations.RunSQL("SET statement_timeout = 0; SET lock_timeout = 0", migrations.RunSQL.noop),
        migrations.AlterField(
            "transaction",
            "kind",
            models.CharField(
                choices=[
                    ("authorize", "Authorize"),
                    ("capture", "Capture"),
                    ("void", "Void"),
                    ("refund", "Refund"),
                    ("reversal", "Reversal"),
                ],
                max_length=9,
            ),
        ),
        migrations.AddField("transaction", "parent", models.IntegerField(null=True)),
        migrations.AddField("transaction", "attempt", models.SmallIntegerField(db_default=1)),
        migrations.AddField("transaction", "credit", models.IntegerField(null=True)),
        migrations.AddField(
            "transaction",
            "key",
            models.CharField(db_default="", help_text="The idempotency key of all its calls.", max_length=100),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE payments_transaction ADD COLUMN IF NOT EXISTS number integer",
                    "ALTER TABLE payments_transaction DROP COLUMN number",
                ),
            ],
            state_operations=[
                migrations.AddField("transaction", "number", models.IntegerField(default=0), preserve_default=False),
            ],
        ),
        migrations.RunSQL(TRIGGER, DROP_TRIGGER),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunSQL(
            "ALTER TABLE payments_transaction ADD CONSTRAINT payments_has_number CHECK (number IS NOT NULL) NOT VALID;"
            "ALTER TABLE payments_transaction VALIDATE CONSTRAINT payments_has_number",
            "ALTER TABLE payments_transaction DROP CONSTRAINT IF EXISTS payments_has_number",
        ),
        migrations.RunSQL(
            "CREATE UNIQUE INDEX CONCURRENTLY payments_by_number ON payments_transaction (order_id, number)",
            "DROP INDEX CONCURRENTLY IF EXISTS payments_by_number",
        ),
        migrations.RunSQL("RESET statement_timeout; RESET lock_timeout", migrations.RunSQL.noop),
    ]
