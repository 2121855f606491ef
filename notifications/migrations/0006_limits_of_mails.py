"""Count e-mails by address and account, and remember to which addresses orders were confirmed."""

from django.db import migrations, models

BACKFILL = """
    INSERT INTO notifications_confirmedaddress (owner_id, address)
    SELECT DISTINCT owner_id, lower(recipient) FROM notifications_notification
    WHERE kind = 'confirmed' AND recipient <> ''
    ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0005_queue_of_each_subscription"),
    ]

    operations = [
        migrations.AlterField(
            model_name="notification",
            name="state",
            field=models.CharField(
                choices=[
                    ("recorded", "Recorded"),
                    ("waiting", "Waiting"),
                    ("sent", "Sent"),
                    ("failed", "Failed"),
                    ("dropped", "Dropped"),
                ],
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="MailCount",
            fields=[
                ("name", models.CharField(max_length=300, primary_key=True, serialize=False)),
                ("since", models.DateTimeField()),
                ("mails", models.IntegerField()),
            ],
            options={
                "indexes": [models.Index(fields=["since"], name="notifications_mails_since")],
            },
        ),
        migrations.CreateModel(
            name="ConfirmedAddress",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "owner_id", "address", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("owner_id", models.BigIntegerField()),
                ("address", models.CharField(max_length=254)),
            ],
        ),
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.RunSQL(BACKFILL, migrations.RunSQL.noop),
        migrations.RunSQL("SET LOCAL statement_timeout TO DEFAULT", migrations.RunSQL.noop),
    ]
