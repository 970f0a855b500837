"""The WSGI application with a request of four spans, to measure what traces cost."""

from django.conf import settings

settings.ROOT_URLCONF = "benchmarks.spans"

from core.wsgi import application  # noqa: E402, F401
