"""The admin's site: a model is shown where the schema has its table, and nowhere else."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from core.tenancy import has_table, in_a_tenant

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin  # what it is mixed into
else:
    _ModelAdmin = object


class ShownWhereItIs(_ModelAdmin):
    """Hides a model on the sites whose schema has no table for it.

    `Site` adds this to every ModelAdmin.
    """

    def is_here(self) -> bool:
        """Tell whether the site of this request has the model."""
        return has_table(self.model)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.is_here() and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, *args: Any) -> bool:
        return self.is_here() and super().has_view_permission(request, *args)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return self.is_here() and super().has_add_permission(request, *args)

    def has_change_permission(self, request: HttpRequest, *args: Any) -> bool:
        return self.is_here() and super().has_change_permission(request, *args)

    def has_delete_permission(self, request: HttpRequest, *args: Any) -> bool:
        return (
            self.is_here()
            and _dependents_are_here(self.model)
            and super().has_delete_permission(request, *args)
        )

    def get_inline_instances(self, request: HttpRequest, *args: Any) -> list[Any]:
        inlines = super().get_inline_instances(request, *args)
        return [inline for inline in inlines if has_table(inline.model)]


class TenantModelAdmin(ShownWhereItIs, admin.ModelAdmin):
    """Hidden on the operators' site, even where its schema has the table."""

    def is_here(self) -> bool:
        return in_a_tenant()


class Site(admin.AdminSite):
    """The site that `admin.site` is."""

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        admin_class = admin_class or admin.ModelAdmin
        if not issubclass(admin_class, ShownWhereItIs):
            body = {"__module__": admin_class.__module__, "__doc__": admin_class.__doc__}
            admin_class = type(admin_class.__name__, (ShownWhereItIs, admin_class), body)
        super().register(model_or_iterable, admin_class, **options)


def _dependents_are_here(model: type[Model]) -> bool:
    """Tell whether all tables are here in which deleting a row looks for what goes with it."""
    seen: set[Any] = set()
    left: set[Any] = {model}
    while left:
        current = left.pop()
        if not has_table(current):
            return False
        seen.add(current)
        relations = current._meta.get_fields(include_hidden=True)
        left |= {
            relation.related_model
            for relation in relations
            if relation.auto_created and not relation.concrete and not relation.many_to_many
        } - seen
    return True
