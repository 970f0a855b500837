"""Administration of what belongs to a tenant."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from core.tenancy import in_a_tenant


class TenantModelAdmin(admin.ModelAdmin):
    """Hidden on the operators' site, whose schema has no table for the model."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return in_a_tenant() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return in_a_tenant() and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return in_a_tenant() and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return in_a_tenant() and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return in_a_tenant() and super().has_delete_permission(request, obj)
