from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from tenants.models import Domain, Tenant


class DomainInline(admin.TabularInline):
    model = Domain
    extra = 0


@admin.register(Tenant)
class TenantAdmin(admin.ModelAdmin):
    """A tenant added here gets its schema at the next release."""

    list_display = ["schema_name", "name", "is_active", "is_released", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["schema_name", "name", "domains__domain"]
    readonly_fields = ["created_at", "migrations_stamp"]
    inlines = [DomainInline]

    @admin.display(boolean=True, description="released")
    def is_released(self, tenant: Tenant) -> bool:
        return bool(tenant.migrations_stamp)

    def save_model(self, request: HttpRequest, obj: Tenant, form: Any, change: bool) -> None:
        # The operators' role may write no other column of a row that exists.
        obj.save(update_fields=form.changed_data if change else None)

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> list[str]:
        # Renaming a row would not rename its schema.
        return [*self.readonly_fields, "schema_name"] if obj else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        # Without its row a schema would be orphaned.
        return False
