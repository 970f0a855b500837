from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from products.models import Category, Product
from products.services import forget_lists


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ["name", "slug"]
    search_fields = ["name"]
    prepopulated_fields = {"slug": ["name"]}


class ProductForm(forms.ModelForm):
    """Sets a stock only where it is changed here, and has not been changed by orders meanwhile."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if "stock" in self.fields:
            # Sent back with the form: what its reader saw.
            self.fields["stock"].show_hidden_initial = True

    def clean_stock(self) -> int:
        given: int = self.cleaned_data["stock"]
        if not self.instance.pk:
            return given
        # Locked until it is saved.
        now = Product.objects.select_for_update().values_list("stock", flat=True)
        left = now.get(pk=self.instance.pk)
        if "stock" not in self.changed_data:
            return left
        if str(left) != self.data.get(self["stock"].html_initial_name):
            raise ValidationError(f"It is {left} by now: open the product again to change it.")
        return given


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    form = ProductForm
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
