"""The environment file of a new production stack: random secrets, and values to fill in."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from ..checkout import Checkout
from ..dotenv import EXAMPLE
from ..errors import DevError
from .stack import COMPOSE_FILE, ENVIRONMENT_FILE

KEY_BYTES = 48  # 64 characters
PASSWORD_BYTES = 32  # 43 characters, of which none needs quoting in a URL

_TEXT = """\
# Environment of the production stack, docker-compose.prod.yml. Every variable: .env.example.
# Keep a copy where you keep secrets, and this file readable only by you: the passwords are set
# when the volumes are created, and cannot be recovered later.

SECRET_KEY={key}
POSTGRES_PASSWORD={postgres}
APP_PASSWORD={app}
APP_OWNER_PASSWORD={owner}
REDIS_PASSWORD={redis}

# Each tenant answers at NAME.TENANT_BASE_DOMAIN, operators at OPERATIONS_HOST.
TENANT_BASE_DOMAIN={domain}
ALLOWED_HOSTS={hosts}
CSRF_TRUSTED_ORIGINS={origins}
OPERATIONS_HOST={operations}

# e.g. smtp+tls://USER:PASSWORD@smtp.example.com:587
EMAIL_URL=
EMAIL_FROM={sender}
"""
_OF_THE_PRODUCT = "\n# The product's own, which docker-compose.prod.yml requires.\n"


def write(checkout: Checkout, domain: str = "", name: str = ENVIRONMENT_FILE) -> list[str]:
    """Write the file `name` with new secrets; return the variables that must be filled in.

    Args:
        domain: the tenants' base domain, from which host names are derived; may be empty.

    Raises:
        DevError: if the file exists. With new passwords the application could not log in to the
        existing database.
    """
    text = _TEXT.format(
        key=secrets.token_urlsafe(KEY_BYTES),
        **{name: secrets.token_urlsafe(PASSWORD_BYTES) for name in _PASSWORDS},
        domain=domain,
        hosts=f".{domain}" if domain else "",
        origins=f"https://*.{domain}" if domain else "",
        operations=f"operations.{domain}" if domain else "",
        sender=f"noreply@{domain}" if domain else "",
    )
    if others := list(_others(checkout)):
        text += _OF_THE_PRODUCT + "".join(f"{name}={value}\n" for name, value in others)
    path = checkout.root / name
    with checkout.writing():
        try:
            path.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            raise DevError(
                f"{name} exists, and existing volumes use its passwords",
                f"for a new stack, move it away first: mv {name} {name}.old",
            ) from None
        path.write_text(text, encoding="utf-8")
    return [line[:-1] for line in text.splitlines() if line.endswith("=")]


def _others(checkout: Checkout) -> Iterator[tuple[str, str]]:
    """The variables that production requires and _TEXT lacks, with a value if it is random."""
    declared = checkout.read(EXAMPLE).splitlines()
    required = re.findall(r"^[^#\n]*\$\{(\w+)\}", checkout.read(COMPOSE_FILE), re.MULTILINE)
    for name in dict.fromkeys(required):
        if f"\n{name}=" not in _TEXT:
            random = f"# e.g. {name}={{random}}" in declared
            yield name, secrets.token_urlsafe(KEY_BYTES) if random else ""


_PASSWORDS = ("postgres", "app", "owner", "redis")
