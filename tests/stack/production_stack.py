"""The production stack as the tests run it: from random secrets, behind its proxy."""

from __future__ import annotations

import http.client
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
from running_stack import Answer, Stack, copy_checkout, free_ports

ENVIRONMENT_FILE = ".env.production"
SERVICES = ("db", "redis", "web", "worker", "proxy")
SECRETS = re.compile(r"^(SECRET_KEY|\w*PASSWORD)=(.+)$", re.M)


class ProductionStack(Stack):
    """The stack of docker-compose.prod.yml with its proxy, asked through TLS."""

    def compose(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        chosen = ("--env-file", ENVIRONMENT_FILE, "-f", "docker-compose.prod.yml")
        return self.run("docker", "compose", *chosen, "--profile", "proxy", *arguments, **options)

    def manage(self, *arguments: str) -> str:
        """Run a manage.py command as the database's owner; return what it printed."""
        command = ("run", "--rm", "-T", "--no-deps", "migrate", "python", "manage.py", *arguments)
        return self.compose(*command).stdout

    def ask(self, path: str, host: str = "test1.localhost", method: str = "GET", **headers: str):
        """Ask the proxy; return the answer, its header names in lower case."""
        context = ssl._create_unverified_context()
        port = int(self.ports["PROXY_HTTPS_PORT"])
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, headers={"Host": f"{host}:{port}", **names})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read().decode())
        finally:
            connection.close()

    def secrets(self) -> list[str]:
        """Return every secret that ./dev secrets made."""
        text = (self.checkout / ENVIRONMENT_FILE).read_text()
        return [value for _name, value in SECRETS.findall(text)]

    def healthy(self) -> bool:
        return self.ask("/api/v1/health/").status == 200


@contextmanager
def production_stack(directory: Path) -> Iterator[ProductionStack]:
    """A production stack with one tenant, from a copy of the checkout; removed at the end."""
    checkout = directory / "home port"
    checkout.mkdir(mode=0o755)
    copy_checkout(checkout)
    project = f"homeport-production-test-{os.getpid()}"
    ports = free_ports("PROXY_HTTP_PORT", "PROXY_HTTPS_PORT")
    stack = ProductionStack(checkout, project, {**ports, "WEB_PORT": "0"})
    certificate = make_certificate(checkout)
    stack.dev("secrets", "--domain", "localhost")
    with (checkout / ENVIRONMENT_FILE).open("a") as file:
        # A second origin for the port of this test, which browsers name.
        file.write(f"CSRF_TRUSTED_ORIGINS=https://*.localhost:{ports['PROXY_HTTPS_PORT']}\n")
        file.write("EMAIL_URL=smtp://mail:1025\n")
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
        stack.run("docker", "rmi", "--force", f"{project}-proxy:production", check=False)


def make_certificate(directory) -> str:
    """Write a certificate for *.localhost that nobody trusts; return its file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    chain, key, both = (directory / name for name in ("chain.pem", "key.pem", "both.pem"))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:*.localhost,DNS:localhost"),
            *("-keyout", str(key), "-out", str(chain)),
        ],
        capture_output=True,
        check=True,
    )
    both.write_text(chain.read_text() + key.read_text())
    both.chmod(0o644)  # the proxy's user is another
    return str(both)


def inspected(stack: ProductionStack, service: str) -> dict:
    container = stack.compose("ps", "--quiet", service).stdout.split()[0]
    return json.loads(stack.run("docker", "inspect", container).stdout)[0]
