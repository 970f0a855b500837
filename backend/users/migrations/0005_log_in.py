"""Log-ins as rows, in place of one row for each token that was ever given."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# The tables of rest_framework_simplejwt.token_blacklist, which is no application any more. Its
# tokens are not good any more either: they name no log-in.
REMOVE_TOKEN_BLACKLIST = """
DROP TABLE IF EXISTS token_blacklist_blacklistedtoken;
DROP TABLE IF EXISTS token_blacklist_outstandingtoken;
DELETE FROM django_migrations WHERE app = 'token_blacklist';
"""


class Migration(migrations.Migration):
    dependencies = [("users", "0004_user_identity")]

    operations = [
        migrations.CreateModel(
            name="LogIn",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "refresh_token",
                    models.CharField(
                        max_length=255, verbose_name="id (jti) of the refresh token that is good"
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "expires_at",
                    models.DateTimeField(
                        db_index=True, verbose_name="when its newest refresh token expires"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="log_ins",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name": "log-in", "ordering": ["-created_at"]},
        ),
        migrations.RunSQL(REMOVE_TOKEN_BLACKLIST, migrations.RunSQL.noop),
    ]
