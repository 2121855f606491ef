"""Which batches a worker has in hand, so that a lost message uses up no try."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0002_storage'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='in_hand',
            field=models.SmallIntegerField(db_default=0),
        ),
    ]
