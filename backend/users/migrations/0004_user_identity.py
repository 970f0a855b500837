import users.models
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('users', '0003_email_lower_case'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='identity',
            field=models.UUIDField(db_default=users.models.RandomIdentity(), editable=False, unique=True),
        ),
    ]
