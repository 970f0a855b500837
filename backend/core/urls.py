"""Addresses of every tenant."""

from django.contrib import admin
from django.urls import include, path

from core.views import landing

urlpatterns = [
    path("", landing, name="landing"),
    path("admin/", admin.site.urls),
    path("api/v1/health/", include("core.urls_health")),
]
