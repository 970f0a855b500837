"""The same without traces."""

from django.conf import settings

settings.TRACED = False

from benchmarks.traced import application  # noqa: E402, F401
