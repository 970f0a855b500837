"""A temporary production stack for tests, with random secrets and a separate project."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.process import Result
from devtools.production import secret_values
from devtools.production.certificate import make_certificate
from devtools.production.stack import ENVIRONMENT_FILE, ProductionStack

DOMAIN = "localhost"
TENANT = "trial"
HOST = f"{TENANT}.{DOMAIN}"
PRODUCTS = 100
# Of the copy, not of the user's stack.
_NOT_COPIED = (".git", ".venv", ".dev", ".env", ".env.production", "__pycache__", "node_modules")
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG")
_BUILT_WITHIN = 1800  # seconds
_UP_WITHIN = 600  # seconds

_FILL = f"""
from decimal import Decimal
from django_tenants.utils import schema_context
from products.models import Category, Product
with schema_context("{TENANT}"):
    category = Category.objects.create(slug="trial", name="Trial")
    Product.objects.bulk_create(
        Product(sku=f"T-{{n:03}}", name=f"Product {{n}}", category=category,
                price=Decimal(n), currency="EUR", stock=1_000_000)
        for n in range(1, {PRODUCTS} + 1)
    )
"""


class Trial(ProductionStack):
    """The stack in `directory`, a copy of the checkout, including the proxy.

    Args:
        chosen: additional lines of its environment file.
    """

    def __init__(self, checkout: Checkout, directory: Path, chosen: dict[str, str]) -> None:
        root = directory / "checkout"
        shutil.copytree(checkout.root, root, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        variables = {name: v for name, v in checkout.variables.items() if name in _KEPT}
        super().__init__(Checkout(root, variables))
        self.project = f"homeport-trial-{secrets.token_hex(4)}"
        secret_values.write(self.checkout, DOMAIN)
        certificate = make_certificate(self.checkout, root)
        added = {
            "COMPOSE_PROJECT_NAME": self.project,
            "BACKEND_IMAGE": f"{self.project}:production",
            "PROXY_CERTIFICATE": str(certificate),
            "EMAIL_URL": "smtp://127.0.0.1:1",  # no server: a trial sends no e-mail
            **dict.fromkeys(("WEB_PORT", "PROXY_HTTP_PORT", "PROXY_HTTPS_PORT"), "0"),
            **chosen,
        }
        with (root / ENVIRONMENT_FILE).open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in added.items())

    @property
    def command(self) -> list[str]:
        return [*super().command, "--profile", "proxy"]

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Build it, start it, create a tenant with products; delete everything afterwards."""
        try:
            self.build()
            self.compose("up", "--detach", "--wait", timeout=_UP_WITHIN)
            self.manage("create_tenant", TENANT)
            self.manage("shell", "--verbosity=0", "--command", _FILL)
            yield
        finally:
            with contextlib.suppress(DevError):
                self.compose("down", "--volumes", "--timeout", "5", timeout=_UP_WITHIN)
            for image in (f"{self.project}:production", f"{self.project}-proxy:production"):
                with contextlib.suppress(DevError):
                    self.docker("rmi", "--force", image)

    def build(self) -> None:
        """Build its images. Raises DevError on failure."""
        self.compose("build", "--quiet", timeout=_BUILT_WITHIN)

    def manage(self, *arguments: str) -> Result:
        """Run a manage.py command as the database's owner. Raises DevError if it fails."""
        release = ("run", "--rm", "-T", "--no-deps", "migrate", "python", "manage.py")
        return self.compose(*release, *arguments, timeout=_UP_WITHIN)

    def inspected(self, service: str) -> dict[str, Any]:
        """The daemon's data on the first container of a service."""
        return json.loads(self.docker("inspect", self.containers(service)[0]).output)[0]

    def address(self, service: str, network: str) -> str:
        """The IP address of a service's first container in a network of the stack."""
        networks = self.inspected(service)["NetworkSettings"]["Networks"]
        return networks[f"{self.project}_{network}"]["IPAddress"]

    def published(self, service: str, port: int) -> int:
        """The port on this machine for `port` of a service."""
        return int(self.compose("port", service, str(port)).output.strip().rpartition(":")[2])
