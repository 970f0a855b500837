"""The WSGI application that bin/web serves."""

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from core import health
from core.database_limits import limit_sessions
from core.env import environment

application = get_wsgi_application()
limit_sessions(environment()["WEB_DATABASE_LIMITS"])

# Django loads the views at the first request. Loaded now, before Gunicorn forks, every worker
# process serves the same code, shares its memory, and a broken view is noticed at the start.
get_resolver().url_patterns  # noqa: B018
health.prepare()
