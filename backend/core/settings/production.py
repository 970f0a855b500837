"""Settings of production. What they need is required by the contract, in core/env/contract.py."""

from csp.constants import NONCE, NONE, SELF

from core.settings.base import *  # noqa: F403
from core.settings.base import MIDDLEWARE, env

# --- TLS ----------------------------------------------------------------------------------
# https://docs.djangoproject.com/en/5.2/topics/security/#ssl-https

SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^api/v1/health/"]  # probes of a load balancer speak plain HTTP
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

# --- Health -------------------------------------------------------------------------------
# Anybody may ask, as often as they like: it must cost little and tell nothing about the inside.

HEALTH_REMEMBERED = 2
HEALTH_DETAIL = False

# --- The proxy ----------------------------------------------------------------------------
# https://docs.djangoproject.com/en/5.2/ref/settings/#secure-proxy-ssl-header

MIDDLEWARE.insert(0, "core.middleware.ForwardedHeadersMiddleware")
PROXY_COUNT = env["PROXY_COUNT"]
PROXY_NETWORKS = env["PROXY_NETWORKS"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Content security policy --------------------------------------------------------------
# https://django-csp.readthedocs.io/en/latest/configuration.html

MIDDLEWARE.insert(
    MIDDLEWARE.index("django.middleware.security.SecurityMiddleware") + 1,
    "csp.middleware.CSPMiddleware",
)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],  # icons within the style sheets of the API's page
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
