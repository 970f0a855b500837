from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from products.models import Category, Product
from products.services import forget_lists


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ["name", "slug"]
    search_fields = ["name"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "sku", "category", "price", "currency", "stock", "is_active"]
    list_filter = ["is_active", "category", "currency"]
    list_select_related = ["category"]
    # Counting a large catalogue twice a page is not worth the number.
    show_full_result_count = False
    search_fields = ["name", "sku"]
    autocomplete_fields = ["category"]
    readonly_fields = ["created_at", "updated_at"]
    actions = ["show", "hide"]

    @admin.action(description="Show selected products", permissions=["change"])
    def show(self, request: HttpRequest, rows: QuerySet[Product]) -> None:
        self._set_active(request, rows, True)

    @admin.action(description="Hide selected products", permissions=["change"])
    def hide(self, request: HttpRequest, rows: QuerySet[Product]) -> None:
        self._set_active(request, rows, False)

    def _set_active(self, request: HttpRequest, rows: QuerySet[Product], is_active: bool) -> None:
        count = rows.update(is_active=is_active)
        forget_lists()
        self.message_user(request, f"{count} changed.")
