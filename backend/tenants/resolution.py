"""Which tenant a request is for: header, else host, else cookie, else the default.

All of them choose a tenant; they authorise nothing. Header and cookie are heard only where the
contract allows it (TENANT_HEADER), which is never in production. A product with a single tenant
(SINGLE_TENANT) leaves no choice.
"""

from __future__ import annotations

import time

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.http.request import split_domain_port

from tenants.models import Tenant
from tenants.names import is_tenant_name
from tenants.operators import Operators

HEADER = "X-Tenant"
CACHE_SECONDS = 5  # how long a process may not notice that a tenant was changed


class UnknownTenant(LookupError):
    """The request names a tenant that does not exist, or none where one is needed."""


class SuspendedTenant(LookupError):
    """The tenant exists and is not active."""


def resolve(request: HttpRequest) -> Tenant | Operators:
    """Return whose site the request is for.

    Raises:
        UnknownTenant: naming what was asked for.
        SuspendedTenant: when that tenant is not active.
        DisallowedHost: when the host is not in ALLOWED_HOSTS.
    """
    host = _without_stack(split_domain_port(request.get_host())[0])
    if settings.SINGLE_TENANT:
        return _active(_by_name(settings.SINGLE_TENANT), settings.SINGLE_TENANT)
    if name := _name_in_header(request):
        return _active(_by_name(name), name)
    if host == settings.OPERATIONS_HOST:
        return Operators()
    if name := _name_in_host(host):
        # A tenant may have a domain below the base domain.
        return _active(_by_name(name) or _by_domain(host), name)
    if tenant := _by_domain(host):
        return _active(tenant, host)
    if chosen := _from_cookie(request):
        return chosen
    if settings.TENANT_DEFAULT:
        return _active(_by_name(settings.TENANT_DEFAULT), settings.TENANT_DEFAULT)
    raise UnknownTenant(f"No tenant answers at {host}.")


def stack_in_host(host: str) -> str:
    """Return STACK of STACK.base-domain and of NAME.STACK.base-domain, if it is this stack's name.

    Its end will do: ./dev names the stack of a work tree after the main checkout and the branch.
    """
    suffix = f".{settings.TENANT_BASE_DOMAIN}"
    label = host.removesuffix(suffix).rpartition(".")[2] if host.endswith(suffix) else ""
    named = f"-{settings.STACK_NAME.replace('_', '-')}".endswith(f"-{label}")
    return label if settings.STACK_NAME and label and named else ""


def _without_stack(host: str) -> str:
    """Return the host without the stack's name, unless a tenant has this name."""
    stack = stack_in_host(host)
    own = f"{stack}.{settings.TENANT_BASE_DOMAIN}"
    if not stack or (host == own and _by_name(_name_in_host(host))):
        return host
    return host.removesuffix(own) + settings.TENANT_BASE_DOMAIN


def _name_in_header(request: HttpRequest) -> str:
    return request.headers.get(HEADER, "") if settings.TENANT_HEADER else ""


def _from_cookie(request: HttpRequest) -> Tenant | Operators | None:
    """Return what the cookie names if that can be entered; a stale cookie names nothing."""
    name = request.COOKIES.get(settings.TENANT_COOKIE_NAME, "") if settings.TENANT_HEADER else ""
    if name == Operators.schema_name:
        return Operators() if settings.OPERATIONS_HOST else None
    tenant = _by_name(name)
    return tenant if tenant and tenant.is_active else None


def _name_in_host(host: str) -> str:
    """Return NAME of NAME.base-domain, else an empty string."""
    suffix = f".{settings.TENANT_BASE_DOMAIN}"
    name = host.removesuffix(suffix) if host.endswith(suffix) else ""
    # Host names have no underscores and tenants' names no hyphens.
    return "" if name == "www" else name.replace("-", "_")


def _active(tenant: Tenant | None, asked_for: str) -> Tenant:
    if tenant is None:
        raise UnknownTenant(f"There is no tenant {asked_for!r}.")
    if not tenant.is_active:
        raise SuspendedTenant(f"The tenant {asked_for!r} is suspended.")
    return tenant


# --- look-ups, remembered for a short while ------------------------------------------------

# That a host is no tenant's domain is remembered, too: else each request at a host whose tenant a
# cookie or TENANT_DEFAULT chooses, such as localhost, asks the database. A name is not: it exists
# when it was created.
_DOMAIN = "domains__domain"
_MOST = 1000  # of ALLOWED_HOSTS that end in anything, a client can name any number
_remembered: dict[tuple[str, str], tuple[float, Tenant | None]] = {}


def forget() -> None:
    """Forget every remembered tenant of this process."""
    _remembered.clear()


def _by_name(name: str) -> Tenant | None:
    if not is_tenant_name(name):
        return None
    return _look_up("schema_name", name)


def _by_domain(host: str) -> Tenant | None:
    return _look_up(_DOMAIN, host)


def _look_up(field: str, value: str) -> Tenant | None:
    key = (field, value)
    found = _remembered.get(key)
    if found and time.monotonic() - found[0] < CACHE_SECONDS:
        return found[1]
    connection.set_schema_to_public()
    tenant = Tenant.objects.filter(**{field: value}).first()
    if tenant is not None or field == _DOMAIN:
        if len(_remembered) >= _MOST:
            _remembered.clear()
        _remembered[key] = (time.monotonic(), tenant)
    return tenant
