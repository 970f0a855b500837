"""Addresses of the catalogue."""

from django.urls import path

from products.views import ProductDetailView, ProductImageView, ProductListView

urlpatterns = [
    path("", ProductListView.as_view(), name="product-list"),
    path("<int:pk>/", ProductDetailView.as_view(), name="product-detail"),
    path("<int:pk>/image/", ProductImageView.as_view(), name="product-image"),
]
