"""Keep the runs of steps in a table of their own.

The columns in which batches kept them stay for workers of the release before, which still write to them while this
migration runs; a later release drops them.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

COPY = """
    INSERT INTO orders_steprun (batch_id, step, task, worker, began_at, ended_at)
    SELECT b.id, s ->> 'name', s ->> 'task', s ->> 'worker',
           (s ->> 'ended_at')::timestamptz - (s ->> 'seconds')::float8 * interval '1 second',
           (s ->> 'ended_at')::timestamptz
    FROM orders_batch b CROSS JOIN jsonb_array_elements(b.steps) s
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0007_journal_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="StepRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("step", models.CharField(max_length=40)),
                (
                    "task",
                    models.CharField(
                        help_text="Celery's id; empty if it did not run on a worker.", max_length=40
                    ),
                ),
                ("worker", models.CharField(max_length=200)),
                (
                    "began_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "batch",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="step_runs",
                        to="orders.batch",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["began_at"], name="orders_steprun_began")],
            },
        ),
        migrations.RunSQL(COPY, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(model_name="batch", name="in_hand"),
                migrations.RemoveField(model_name="batch", name="steps"),
            ]
        ),
    ]
