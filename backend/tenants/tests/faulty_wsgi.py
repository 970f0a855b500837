"""The faulty site as Gunicorn serves it."""

from django.conf import settings

from core.wsgi import application  # noqa: F401

settings.ROOT_URLCONF = "tenants.tests.faulty_site"
