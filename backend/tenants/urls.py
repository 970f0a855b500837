"""Where a browser chooses its tenant."""

from django.urls import path

from tenants.views import choose

urlpatterns = [path("", choose, name="choose-tenant")]
