"""Addresses of the cart."""

from django.urls import path

from cart.views import AddView, CartView, RemoveView, UpdateView

urlpatterns = [
    path("", CartView.as_view(), name="cart"),
    path("add/", AddView.as_view(), name="cart-add"),
    path("update/<int:pk>/", UpdateView.as_view(), name="cart-update"),
    path("remove/<int:pk>/", RemoveView.as_view(), name="cart-remove"),
]
