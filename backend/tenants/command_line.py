"""Which tenant a management command is for: `manage.py COMMAND … --tenant NAME`.

A command that is given none would work in public, on the operators' accounts; so unless it is
known to need no tenant, it is refused. Only a shell starts, and says where it is.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.management import CommandError, execute_from_command_line, get_commands
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.exceptions import InconsistentMigrationHistory

from tenants.migration import SQUASHED
from tenants.operators import Operators

if TYPE_CHECKING:
    from tenants.models import Tenant

OPTION = "--tenant"

# They work for all tenants, or look at no row of one; so they take no tenant.
TENANT_FREE = frozenset(
    {
        "all_tenants_command",
        "check",
        "collectstatic",
        "compilemessages",
        "create_tenant",
        "diffsettings",
        "drop_tenant",
        "export_tenant",
        "findstatic",
        "help",
        "list_tenants",
        "makemessages",
        "makemigrations",
        "optimizemigration",
        "rehearse",
        "release",
        "resume_tenant",
        "runserver",
        "sendtestemail",
        "spectacular",
        "squashmigrations",
        "startapp",
        "startproject",
        "suspend_tenant",
        "tasks",
        "version",
    }
)

# For all tenants without the option, for one with it.
TENANT_OPTIONAL = frozenset(
    {
        "migrate",
        "seed_demo",  # sample: line
        "showmigrations",
    }
)

_COPY = "{manage} export_tenant NAME, then {manage} create_tenant OTHER --from ARCHIVE"
# Commands of Django and of django-tenants that know neither the roles nor the life of a tenant,
# and what runs in their place; {names} stand for those of settings.REMEDIES.
REPLACED = {
    "clone_tenant": _COPY,
    "collectstatic_schemas": "{manage} collectstatic",
    "create_domain": "{manage} create_tenant NAME --domain HOST, also for a tenant there is",
    "create_missing_schemas": "{manage} release",
    "create_tenant_superuser": "{manage} createsuperuser --tenant NAME",
    "delete_domain": "the admin of the operators' host, under Domains",
    "delete_tenant": "{manage} drop_tenant NAME",
    "generateschema": "{manage} spectacular",
    "migrate_schemas": "{manage} migrate, for one tenant: --tenant NAME",
    "rename_schema": _COPY,
    "tenant_command": "{manage} COMMAND --tenant NAME",
    "test": "{test}",
    "testserver": "{testserver}",
}


def run(arguments: list[str]) -> None:
    """Run a management command in the tenant that its arguments name.

    Args:
        arguments: as in sys.argv; `--tenant public` means the operators. Without the option, a
            single tenant is meant.

    Raises:
        SystemExit: when the command needs a tenant and is given none, or an unknown one; when
            it takes none and is given one; or when another command runs in its place.
    """
    arguments, name = _take_option(arguments)
    command = arguments[1] if len(arguments) > 1 else "help"
    if settings.SINGLE_TENANT and not name and _needs_tenant(command, arguments):
        name = settings.SINGLE_TENANT
    if command in REPLACED:
        use = REPLACED[command].format_map(settings.REMEDIES)
        raise SystemExit(f"{command} is not used here. Use: {use}")
    if name and _is_tenant_free(command):
        raise SystemExit(f"{command} takes no {OPTION}: it works for all tenants, or for none")
    try:
        _enter(name, command, arguments)
        execute_from_command_line(arguments)
    except PermissionError as error:
        if "--traceback" in arguments:
            raise
        what = f"{error.filename} cannot be written as this user: {error.strerror}"
        raise SystemExit(f"{command}: {what}\nRun it {settings.REMEDIES['code']}") from error
    except SystemExit as end:
        # Of a CommandError, which Django has printed: startapp makes one of each OSError.
        if isinstance(end.__context__, CommandError) and isinstance(
            end.__context__.__context__, PermissionError
        ):
            raise SystemExit(f"Run it {settings.REMEDIES['code']}") from end
        raise
    except InconsistentMigrationHistory as error:
        if "--traceback" in arguments:
            raise
        raise SystemExit(f"{command}: {error}\n{_history_remedy(error)}") from error
    except DatabaseError as error:
        remedy = _remedy(error)
        if not remedy or "--traceback" in arguments:
            raise
        raise SystemExit(f"{command}: {' '.join(str(error).split())}\n{remedy}") from error


def _enter(name: str, command: str, arguments: list[str]) -> None:
    if name:
        django.setup()
        try:
            tenant = _tenant(name)
        except LookupError as error:
            raise SystemExit(f"{command}: {error}") from error
        if command == "migrate":
            # It enters each tenant by itself, and goes through all unless one is named.
            arguments += ["--schema", name]
            return
        connection.set_tenant(tenant)
        # For psql and other programs that the command starts.
        # https://www.postgresql.org/docs/current/libpq-envars.html
        os.environ["PGOPTIONS"] = connection.session_options()
    elif _needs_tenant(command, arguments):
        django.setup()
        if command not in get_commands():
            return  # Django names the command that was meant
        remedy = (
            f"Add {OPTION} NAME ({settings.REMEDIES['manage']} list_tenants shows them), or "
            f"{OPTION} public for the operators' own accounts."
        )
        if command != "shell":
            raise SystemExit(f"{command} needs a tenant, and was given none. {remedy}")
        print(f"This shell is in no tenant. {remedy}", file=sys.stderr)


def _remedy(error: DatabaseError) -> str:
    """Return the remedy for a database that is not up or not released, or an empty string."""
    if isinstance(error, OperationalError):
        return unavailable_remedy(error)
    missing = re.search(r'(role "tenant_|relation ")\w+" does not exist', str(error))
    if missing and _is_behind():
        return f"The database is older than this code; {settings.REMEDIES['migrate']}"
    return ""


def _history_remedy(error: InconsistentMigrationHistory) -> str:
    """Return the remedy for an applied migration with a dependency that is not applied."""
    missing = re.search(r"dependency \w+\.(\w+)", str(error))
    if missing and SQUASHED.match(missing[1]):
        return (
            "The database was not migrated while this migration still had `replaces`. Restore "
            f"that line, {settings.REMEDIES['migrate']}; then delete the line again."
        )
    return "Restore the dependencies that the migration had when it was applied."


def unavailable_remedy(error: Exception) -> str:
    """Return the remedy for a database that cannot be used."""
    if "password authentication failed" in str(error):
        return f"The database has a different password for it; {settings.REMEDIES['password']}"
    return f"Does the database run, with free disk space? Check: {settings.REMEDIES['database']}"


def _is_behind() -> bool:
    from tenants.health import probe_migrations  # models load only after django.setup()

    connection.close()
    try:
        probe_migrations()
    except (DatabaseError, RuntimeError):
        return True
    return False


def _take_option(arguments: list[str]) -> tuple[list[str], str]:
    """Return the arguments without the option, and its value or an empty string."""
    rest, name = list(arguments), ""
    for position, word in enumerate(arguments):
        if word == OPTION and position + 1 < len(arguments):
            name = arguments[position + 1]
            del rest[position : position + 2]
            break
        if word.startswith(f"{OPTION}="):
            name = word.partition("=")[2]
            del rest[position]
            break
    return rest, name


def _needs_tenant(command: str, arguments: list[str]) -> bool:
    asks_for_help = {"-h", "--help"} & set(arguments)
    return not (
        command in TENANT_OPTIONAL
        or command.startswith("-")
        or asks_for_help
        or _is_tenant_free(command)
    )


def _is_tenant_free(command: str) -> bool:
    return command in TENANT_FREE or command in settings.TENANT_FREE_COMMANDS


def _tenant(name: str) -> Tenant | Operators:
    if name == Operators.schema_name:
        return Operators()
    from tenants.services import get_tenant  # models load only after django.setup()

    return get_tenant(name)
