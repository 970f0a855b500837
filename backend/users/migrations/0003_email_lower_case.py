"""Store addresses in lower case, which the log-in compares with."""

from django.db import migrations, models
from django.db.models import Count
from django.db.models.functions import Lower

import users.models


def lower_case(apps, schema_editor):
    """Convert stored addresses; refuse when two accounts would then have one address."""
    User = apps.get_model("users", "User")
    doubled = (
        User.objects.values(lower=Lower("email"))
        .annotate(number=Count("pk"))
        .filter(number__gt=1)
        .values_list("lower", flat=True)
    )
    if doubled:
        raise ValueError(
            f"accounts whose addresses differ only in case: {', '.join(doubled)}. "
            "Change the address of all but one of them in the admin, then migrate again"
        )
    User.objects.exclude(email=Lower("email")).update(email=Lower("email"))


class Migration(migrations.Migration):
    dependencies = [("users", "0002_cognitoidentity")]

    operations = [
        migrations.RunPython(lower_case, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            model_name="user",
            name="email",
            field=users.models.EmailAddressField(
                max_length=254, unique=True, verbose_name="e-mail address"
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("email", Lower("email"))), name="users_email_lower_case"
            ),
        ),
    ]
