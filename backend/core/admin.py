"""Administration of what is there on some sites only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from core.tenancy import in_a_tenant


class ShownWhereItIs:
    """Hides a model on the sites whose schema has no table for it, or may not be read there."""

    def is_here(self) -> bool:
        """Tell whether the site of this request has the model."""
        raise NotImplementedError

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.is_here() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, *args: Any) -> bool:
        return self.is_here() and super().has_view_permission(request, *args)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return self.is_here() and super().has_add_permission(request, *args)

    def has_change_permission(self, request: HttpRequest, *args: Any) -> bool:
        return self.is_here() and super().has_change_permission(request, *args)

    def has_delete_permission(self, request: HttpRequest, *args: Any) -> bool:
        return self.is_here() and super().has_delete_permission(request, *args)


class TenantModelAdmin(ShownWhereItIs, admin.ModelAdmin):
    """Hidden on the operators' site, whose schema has no table for the model."""

    def is_here(self) -> bool:
        return in_a_tenant()
