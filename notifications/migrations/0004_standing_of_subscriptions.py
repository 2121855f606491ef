"""Slow down and switch off subscriptions that take nothing, and lease each to one process at a time."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("notifications", "0003_webhooks"),
    ]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="owner",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="leased_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="subscription",
            name="failures",
            field=models.IntegerField(
                db_default=0, default=0, help_text="Visits in a row in which it took nothing."
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="failing_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="subscription",
            name="retry_at",
            field=models.DateTimeField(blank=True, help_text="It is left alone until then.", null=True),
        ),
        migrations.AddField(
            model_name="subscription",
            name="switched_off_at",
            field=models.DateTimeField(blank=True, help_text="By itself, as it took nothing.", null=True),
        ),
        migrations.AddField(
            model_name="subscription",
            name="switched_off_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="subscription",
            name="owner_notified_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
