"""Addresses of orders."""

from django.urls import path

from orders.views import (
    OrderCreateView,
    OrderCsvView,
    OrderDetailView,
    OrderListCsvView,
    OrderListView,
)

urlpatterns = [
    path("", OrderListView.as_view(), name="order-list"),
    path("create/", OrderCreateView.as_view(), name="order-create"),
    path("csv/", OrderListCsvView.as_view(), name="order-list-csv"),
    path("<int:pk>/", OrderDetailView.as_view(), name="order-detail"),
    path("<int:pk>/csv/", OrderCsvView.as_view(), name="order-csv"),
]
