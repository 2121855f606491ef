"""API tokens as digests. Those of an earlier version are copied, so that they go on working."""

from typing import Any

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# What an earlier version keeps in clear text, if it was ever there. Its processes may still be running: the clear
# text is deleted a day later, by the hourly cleaning (`accounts.tokens.adopt_former_tokens`).
COPY = """
    INSERT INTO accounts_apitoken (user_id, name, digest, hint, password_mark, created_at, expires_at)
    SELECT t.user_id, '', encode(sha256(convert_to(t.key, 'UTF8')), 'hex'), left(t.key, 4) || '…' || right(t.key, 4),
           encode(sha256(convert_to(u.password, 'UTF8')), 'hex'), t.created, now() + make_interval(days => %s)
    FROM authtoken_token t JOIN auth_user u ON u.id = t.user_id
    ON CONFLICT (digest) DO NOTHING
"""


def copy_former_tokens(_apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('authtoken_token') IS NOT NULL")
        if cursor.fetchone()[0]:
            cursor.execute(COPY, [settings.API_TOKEN_DAYS])


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(blank=True, help_text="What it is for.", max_length=100)),
                ("digest", models.CharField(editable=False, max_length=64)),
                (
                    "hint",
                    models.CharField(
                        editable=False, help_text="Its first and last characters.", max_length=20
                    ),
                ),
                ("password_mark", models.CharField(editable=False, max_length=64)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "expires_at",
                    models.DateTimeField(blank=True, help_text="Empty: it does not expire.", null=True),
                ),
                ("last_used_at", models.DateTimeField(editable=False, help_text="To the hour.", null=True)),
                ("revoked_at", models.DateTimeField(editable=False, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name": "API token", "ordering": ["-id"]},
        ),
        migrations.AddConstraint(
            model_name="apitoken",
            constraint=models.UniqueConstraint(fields=("digest",), name="accounts_apitoken_digest"),
        ),
        migrations.RunPython(copy_former_tokens, migrations.RunPython.noop),
    ]
