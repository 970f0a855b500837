"""The faulty site as Gunicorn serves it by ASGI."""

from django.conf import settings

from core.asgi import application  # noqa: F401

settings.ROOT_URLCONF = "tenants.tests.faulty_site"
