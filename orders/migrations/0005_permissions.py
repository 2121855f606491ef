"""Who may complete orders, and who may refund them, without being allowed everything."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0004_batch_for_people"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="order",
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("operate_order", "Can process, complete, cancel, refund and retry any order"),
                    ("complete_order", "Can complete any order"),
                    ("refund_order", "Can refund any order, and retry it"),
                ],
            },
        ),
    ]
