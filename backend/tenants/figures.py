"""The tenants, as figures."""

from django.db import connection

from core.gauges import Values, gauge
from tenants.models import Tenant


@gauge("homeport.tenants", "{tenant}", "Tenants, by whether they are suspended.")
def number() -> Values:
    connection.set_schema_to_public()
    active = Tenant.objects.filter(is_active=True).count()
    yield active, {"state": "active"}
    yield Tenant.objects.count() - active, {"state": "suspended"}
