"""The acceptance criteria are tests of the user's own running stack: `./dev verify`."""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from criteria import Seen
from running import SETTING, ProductStack, Tenant, tenant_of
from running_stack import PORTS, free_ports
from verification import Verification

from devtools.checkout import Checkout
from devtools.docker.project import PROJECT_LABEL, Project


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("verify", "acceptance criteria")
    group.addoption("--criteria", nargs="*", default=[], help="ids, or the beginning of some")
    group.addoption("--engine", default="", help="what runs the stack")
    group.addoption("--quick", action="store_true", help="leave out what takes a minute or more")
    group.addoption("--list", action="store_true", help="print ids and statements")
    group.addoption("--json", action="store_true", help="print the outcomes as JSON")
    group.addoption("--markdown", metavar="FILE", help="write a page with the outcomes")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Verification(config), "verification")


@pytest.fixture
def seen(record_property) -> Seen:
    """Record what the test saw, which becomes the evidence of its criterion."""
    return functools.partial(record_property, "seen")


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[ProductStack]:
    """The stack of this checkout; at the end the server serves that did at first."""
    stack = pytestconfig.pluginmanager.getplugin("verification").stack
    server = stack.status()["server"]
    yield stack
    if server:
        stack.serve(server)
    stack.close()


@pytest.fixture(scope="session")
def tenant(stack: ProductStack) -> Iterator[Tenant]:
    """A tenant for the checks, with a superuser."""
    with tenant_of(stack) as tenant:
        yield tenant


@pytest.fixture(scope="session")
def fresh(stack: ProductStack) -> Iterator[ProductStack]:
    """A stack brought up from nothing, in a copy of the checkout; deleted at the end."""
    # Not below pytest's directory: its longer path is too long for PostgreSQL's socket.
    temporary = tempfile.TemporaryDirectory(prefix="verify-", ignore_cleanup_errors=True)
    with temporary as directory:
        checkout = Path(directory) / "checkout"
        Path(directory).chmod(0o755)  # the user in the containers is another
        Checkout(stack.checkout).copy(checkout, {})
        (checkout / ".env").write_text("=".join(SETTING) + "\n")
        ports = {**free_ports(*PORTS), "SINGLE_TENANT": stack.single}
        name = f"homeport-verify-{os.getpid()}"
        fresh = ProductStack(checkout, name, ports, engine=stack.engine)
        stack.tell("bringing a fresh copy up")
        began = time.monotonic()
        try:
            fresh.dev("up", timeout=900)
            fresh.took = time.monotonic() - began
            yield fresh
        finally:
            fresh.close()
            fresh.dev("clean", "--yes", check=False)


@pytest.fixture(scope="session")
def production_image(stack: ProductStack) -> Iterator[str]:
    """The name of the production image, built from this checkout; untagged at the end."""
    name = "homeport-verify:production"
    stack.tell("building the production image")
    stack.docker(
        # The label has `./dev clean` delete it if this ends too early to do so.
        *("build", "--label", f"{PROJECT_LABEL}={Project(Checkout(stack.checkout)).name}"),
        *("--file", "backend/Dockerfile", "--target", "production", "--tag", name, "."),
        timeout=1800,
    )
    yield name
    stack.docker("rmi", name, check=False)
