"""Addresses answered without a tenant."""

from django.urls import path

from core.health import live, ready

urlpatterns = [
    path("", ready, name="health"),
    path("live/", live, name="health-live"),
]
