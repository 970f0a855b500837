"""Addresses of every tenant."""

from django.contrib import admin
from django.urls import include, path

from core.views import landing

api = [
    path("auth/", include("users.urls")),
]

urlpatterns = [
    path("", landing, name="landing"),
    path("admin/", admin.site.urls),
    path("choose-tenant/", include("tenants.urls")),
    path("api/v1/health/", include("core.urls_health")),
    path("api/v1/", include(api)),
    path("api/", include(api)),  # the address that existing clients use
]
