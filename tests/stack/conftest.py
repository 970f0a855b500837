"""A whole stack for the tests: a copy of the checkout, with a project and ports of its own.

Your own stack, its data and your working tree are never touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from production_stack import ProductionStack, production_stack
from running_stack import Stack, copy_checkout, free_ports


def why_no_daemon() -> str:
    """Return why there is no Docker daemon to test with, or nothing when there is one."""
    if shutil.which("docker") is None:
        return "Docker is not installed"
    asked = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return "" if asked.returncode == 0 else "no Docker daemon answers"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_no_daemon()
    # Given all tests of the run, not only those of this directory.
    for item in (item for item in items if item.path.is_relative_to(Path(__file__).parent)):
        item.add_marker(pytest.mark.stack)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def stack(tmp_path_factory) -> Iterator[Stack]:
    """A running stack, brought up by `./dev up` from nothing, removed at the end."""
    # World-readable: the container's user is not the one who runs the tests.
    checkout = tmp_path_factory.mktemp("stack") / "home port"
    checkout.mkdir(mode=0o755)
    copy_checkout(checkout)
    ports = free_ports("WEB_PORT", "DB_PORT", "REDIS_PORT", "LOCALSTACK_PORT", "COGNITO_PORT")
    stack = Stack(checkout, f"homeport-test-{os.getpid()}", ports)
    try:
        stack.first_up = stack.dev("up", timeout=600)
        yield stack
    finally:
        stack.dev("clean", "--yes", check=False)


@pytest.fixture(scope="session")
def production(tmp_path_factory) -> Iterator[ProductionStack]:
    """A production stack with two tenants, from a copy of the checkout; removed at the end."""
    with production_stack(tmp_path_factory.mktemp("production")) as stack:
        yield stack


@pytest.fixture
def running(stack) -> Iterator[Stack]:
    """The stack, up and healthy before and after the test, whatever the test does to it."""
    stack.dev("up")
    yield stack
    stack.compose("unpause", check=False)
