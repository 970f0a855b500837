"""The tenants and the domains they answer at."""

import re

from django.contrib.postgres.functions import RandomUUID
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django_tenants.models import DomainMixin, TenantMixin

from tenants.names import EXTENSIONS, RESERVED, SCHEMA_NAME, is_tenant_name

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def validate_schema_name(value: str) -> None:
    """Refuse what PostgreSQL or the role names would not bear."""
    if not is_tenant_name(value):
        raise ValidationError(
            "A tenant's name has lower-case letters, digits and _, begins with a letter, has "
            "56 characters at most, does not begin with pg_, and is not one of "
            f"{', '.join((*RESERVED, EXTENSIONS))}."
        )


def validate_domain(value: str) -> None:
    """Refuse what no request's host could equal: a scheme, a port, capitals."""
    if not DOMAIN.fullmatch(value):
        raise ValidationError(
            f"{value!r} is not a host name: lower-case labels with dots, no scheme and no port."
        )


class Tenant(TenantMixin):
    """A row of tenant_config. A release makes the schema and role that a new row lacks."""

    # Only release may make schemas: web's role has no right to.
    auto_create_schema = False

    schema_name = models.CharField(max_length=63, unique=True, validators=[validate_schema_name])
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(
        default=True, db_default=True, help_text="Requests of an inactive tenant are refused."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # A name may be given again after a drop; this never is. Tokens, tasks, cache keys and files
    # carry it.
    identity = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    migrations_stamp = models.CharField(
        max_length=64, blank=True, default="", db_default="", editable=False
    )

    class Meta:
        db_table = "tenant_config"
        ordering = ["schema_name"]
        constraints = [
            models.CheckConstraint(
                name="tenant_config_schema_name",
                condition=models.Q(schema_name__regex=SCHEMA_NAME)
                & ~models.Q(schema_name__regex="^pg_")
                & ~models.Q(schema_name__in=RESERVED),
                violation_error_message="This cannot be a tenant's name.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Release(models.Model):
    """The code that migrated public, by its stamp; the last one is that of the last release."""

    stamp = models.CharField(max_length=64, primary_key=True, editable=False)
    released_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "tenant_release"

    def __str__(self) -> str:
        return self.stamp


class Domain(DomainMixin):
    """A host name, besides NAME.base-domain, that a tenant answers at."""

    domain = models.CharField(
        max_length=253, unique=True, db_index=True, validators=[validate_domain]
    )

    class Meta:
        db_table = "tenant_domain"
        ordering = ["domain"]
