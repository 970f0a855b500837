"""Addresses of every tenant."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView

from core.views import ApiPage, landing, no_such_api

api: list[URLPattern | URLResolver] = [
    path("auth/", include("users.urls")),
    *(path(f"{app.rpartition('.')[2]}/", include(f"{app}.urls")) for app in settings.PRODUCT_APPS),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", ApiPage.as_view(url_name="schema"), name="docs"),
]

admin.site.site_header = f"{settings.SPECTACULAR_SETTINGS['TITLE']} administration"
admin.site.site_title = str(settings.SPECTACULAR_SETTINGS["TITLE"])

urlpatterns = [
    path("api/v1/health/", include("core.urls_health")),  # first: probes ask most often
    path("", landing, name="landing"),
    path("admin/", admin.site.urls),
    path("choose-tenant/", include("tenants.urls")),
    path("api/", include(api)),  # the address that existing clients use
    path("api/v1/", include(api)),  # last, so that names lead here
    re_path(r"^api/", no_such_api),
]

if "debug_toolbar" in settings.INSTALLED_APPS:
    from debug_toolbar.toolbar import debug_toolbar_urls  # not installed in production

    urlpatterns += debug_toolbar_urls()

handler400 = "core.errors.handlers.bad_request"
handler403 = "core.errors.handlers.permission_denied"
handler404 = "core.errors.handlers.not_found"
handler500 = "core.errors.handlers.server_error"
