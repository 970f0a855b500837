"""A project on SQLite that is about to move: makes its database, fills it, and dumps it.

    python -m demo.tests.sqlite_project DATABASE DUMP users.User|auth.User

Run as a separate process, because settings can be chosen only once.
"""

import sys

import django
from django.conf import settings
from django.core.management import call_command


def main(database: str, dump: str, user_model: str) -> None:
    applications = ["django.contrib.contenttypes", "django.contrib.auth", "tickets"]
    if user_model == "users.User":
        applications += ["users"]
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        INSTALLED_APPS=applications,
        AUTH_USER_MODEL=user_model,
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    if user_model == "users.User":
        fill()
    else:
        fill_with_djangos_own_users()
    call_command(
        "dumpdata",
        natural_foreign=True,
        exclude=["contenttypes", "auth.permission"],
        output=dump,
        verbosity=0,
    )


def fill_with_djangos_own_users() -> None:
    from django.contrib.auth.models import User

    from tickets.models import Ticket

    ann = User.objects.create_user("ann", "ann@example.com", "correct horse battery staple")
    bob = User.objects.create_user("bob")
    for user in (ann, bob):
        Ticket.objects.create(user=user, subject=f"Of {user.username}")


def fill() -> None:
    from django.contrib.auth.models import Group, Permission

    from tickets.services import answer_ticket, open_ticket
    from users.models import User

    ann = User.objects.create_user("ann@example.com", "correct horse battery staple")
    staff = User.objects.create_user("sam@example.com", is_staff=True, first_name="Sämi")
    helpers = Group.objects.create(name="Helpers")
    helpers.permissions.add(Permission.objects.get(codename="change_ticket"))
    staff.groups.add(helpers)
    ticket = open_ticket(ann, "Broken 杯", "It arrived in two pieces.")
    answer_ticket(staff, ticket.pk, "A new one is on its way.")


if __name__ == "__main__":
    main(*sys.argv[1:])
