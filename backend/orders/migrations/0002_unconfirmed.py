from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                name="orders_unconfirmed",
                fields=["created_at"],
                condition=models.Q(confirmation_sent_at=None),
            ),
        ),
    ]
