"""What the API's schema says about the tokens that are accepted.

https://drf-spectacular.readthedocs.io/en/latest/customization.html#step-5-extensions
"""

from typing import Any

from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension


class LocalScheme(SimpleJWTScheme):
    target_class = "users.authentication.LocalAuthentication"


class CognitoScheme(OpenApiAuthenticationExtension):
    target_class = "users.authentication.CognitoAuthentication"
    name = "cognitoAuth"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An id token of the Cognito user pool.",
        }
