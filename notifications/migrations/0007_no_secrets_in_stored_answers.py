"""Take the secrets of webhooks out of the answers that were stored for repeats."""

from django.db import migrations

FORGET = """
    UPDATE orders_idempotencykey
    SET answer = jsonb_set(answer, '{body}', to_jsonb(
        regexp_replace(answer->>'body', '"secret":"whsec_[^"]*"', '"secret":null')))
    WHERE answer->>'body' LIKE '%"secret":"whsec\\_%'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0006_limits_of_mails"),
        ("orders", "0010_losses_of_batches"),
    ]

    operations = [
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.RunSQL(FORGET, migrations.RunSQL.noop),
        migrations.RunSQL("SET LOCAL statement_timeout TO DEFAULT", migrations.RunSQL.noop),
    ]
