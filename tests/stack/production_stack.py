"""The production stack for the tests: with random secrets, behind its proxy."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running_stack import Stack, copy_checkout, free_ports
from web_client import Answer, ask

from devtools.checkout import Checkout
from devtools.production.certificate import make_certificate

ENVIRONMENT_FILE = ".env.production"
SERVICES = ("db", "redis", "web", "worker", "proxy")
SECRETS = re.compile(r"^(SECRET_KEY|\w*PASSWORD)='?(.+?)'?$", re.M)
# A superuser's, without titles, as text alone.
PSQL = ("exec", "-T", "db", "psql", "-XqAtU", "postgres", "homeport")
# Characters that are special in URLs, shells, SQL, Redis's configuration and Compose files.
HARD_PASSWORD = r"""'\1-p@s/s#w:rd%41?&x + "{}" $HOME'"""


class ProductionStack(Stack):
    """The stack of docker-compose.prod.yml with its proxy, called with TLS."""

    def compose(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return self.run(*self.command(*arguments), **options)

    def command(self, *arguments: str) -> list[str]:
        chosen = ["--env-file", ENVIRONMENT_FILE, "-f", "docker-compose.prod.yml"]
        return ["docker", "compose", *chosen, *arguments]

    def sql(self, query: str) -> str:
        return self.compose(*PSQL, "-c", query).stdout.strip()

    def manage(self, *arguments: str) -> str:
        """Run a manage.py command as the database's owner; return its output."""
        command = ("run", "--rm", "-T", "--no-deps", "migrate", "python", "manage.py", *arguments)
        return self.compose(*command).stdout

    def ask(
        self, path: str, host: str = "test1.localhost", body: str | None = None, **headers: str
    ) -> Answer:
        """Call the proxy, with POST if there is a body."""
        port = int(self.ports["PROXY_HTTPS_PORT"])
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(
            *(port, "GET" if body is None else "POST", path),
            host=f"{host}:{port}",
            headers=names,
            body=body,
            timeout=30,
            tls=ssl._create_unverified_context(),
        )

    def secrets(self) -> list[str]:
        """Return every secret that ./dev secrets made."""
        text = (self.checkout / ENVIRONMENT_FILE).read_text()
        return [value for _name, value in SECRETS.findall(text)]

    def healthy(self) -> bool:
        return self.ask("/api/v1/health/").status == 200


def project_name(name: str) -> str:
    """Return the Compose project for this name and this run."""
    return f"homeport-production-{name}-{os.getpid()}"


@contextmanager
def production_stack(directory: Path, name: str = "test") -> Iterator[ProductionStack]:
    """A production stack with two tenants, from a copy of the checkout; removed at the end."""
    checkout = directory / "home port"
    checkout.mkdir(mode=0o755)
    copy_checkout(checkout)
    project = project_name(name)
    ports = free_ports("PROXY_HTTP_PORT", "PROXY_HTTPS_PORT")
    stack = ProductionStack(checkout, project, {**ports, "WEB_PORT": "0"})
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    certificate = make_certificate(Checkout(checkout), checkout)
    stack.dev("secrets", "--domain", "localhost")
    secrets = checkout / ENVIRONMENT_FILE
    hard = re.sub(r"(?<=PASSWORD=)(.+)", HARD_PASSWORD, secrets.read_text())
    secrets.write_text(hard)
    with secrets.open("a") as file:
        # A second origin with this test's port, which browsers send.
        file.write(f"CSRF_TRUSTED_ORIGINS=https://*.localhost:{ports['PROXY_HTTPS_PORT']}\n")
        file.write("EMAIL_URL=smtp://mail:1025\nPROXY_KEEP_ALIVE=30\nCOMPOSE_PROFILES=proxy\n")
        file.write(f"COMPOSE_PROJECT_NAME={project}\nBACKEND_IMAGE={project}:production\n")
        file.write(f"PROXY_CERTIFICATE={certificate}\n")
    try:
        stack.compose("build", "--quiet", timeout=1200)
        stack.compose("up", "--detach", "--wait", timeout=600)
        for tenant in ("test1", "test2"):
            stack.compose("exec", "-T", "db", "true")
            stack.compose(
                "run", "--rm", "-T", "migrate", "python", "manage.py", "create_tenant", tenant
            )
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5", check=False)
        stack.run("docker", "rmi", "--force", f"{project}:production", check=False)
        for built in ("proxy", "pool"):
            stack.run("docker", "rmi", "--force", f"{project}-{built}:production", check=False)


def inspected(stack: ProductionStack, service: str) -> dict:
    container = stack.compose("ps", "--quiet", service).stdout.split()[0]
    return json.loads(stack.run("docker", "inspect", container).stdout)[0]
