"""Sign webhooks by Standard Webhooks; subscriptions from before keep the former form until they change."""

from django.db import migrations, models

# A handful of rows. Processes of the former release sign in the former form whatever the column has.
KEEP = "UPDATE notifications_subscription SET signature = 'hex'"


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0009_kinds_of_mails"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="signature",
            field=models.CharField(
                choices=[("standard", "Standard Webhooks"), ("hex", "t=…,v1=… of earlier releases")],
                db_default="standard",
                default="standard",
                help_text="The form of signatures. The former one goes with the next release.",
                max_length=10,
            ),
        ),
        migrations.RunSQL(KEEP, migrations.RunSQL.noop),
    ]
