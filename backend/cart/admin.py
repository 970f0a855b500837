from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from cart.models import Cart, CartItem
from cart.services import totals_of


class CartItemInline(admin.TabularInline):
    model = CartItem
    extra = 0
    autocomplete_fields = ["product"]


@admin.register(Cart)
class CartAdmin(admin.ModelAdmin):
    list_display = ["user", "created_at", "total"]
    list_filter = ["created_at"]
    list_select_related = ["user"]
    search_fields = ["user__email"]
    autocomplete_fields = ["user"]
    readonly_fields = ["created_at", "total"]
    inlines = [CartItemInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cart]:
        return super().get_queryset(request).prefetch_related("items__product")

    @admin.display
    def total(self, cart: Cart) -> str:
        totals = totals_of(cart.items.all()) if cart.pk else {}
        return ", ".join(f"{amount} {currency}" for currency, amount in totals.items()) or "0"
