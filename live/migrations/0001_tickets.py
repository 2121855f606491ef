"""Tickets for the live feed, in the database: every server sees them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Ticket",
            fields=[
                ("digest", models.BinaryField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=20)),
                ("value", models.CharField(max_length=200)),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
