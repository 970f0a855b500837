"""A whole stack for the tests: a copy of the checkout with a separate project and ports.

The user's stack, its data and the working tree are never touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from production_stack import ProductionStack, production_stack
from running_stack import PORTS, Stack, copy_checkout, free_ports, why_no_daemon


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_no_daemon()
    # pytest passes all tests of the run, not only those of this directory.
    for item in (item for item in items if item.path.is_relative_to(Path(__file__).parent)):
        item.add_marker(pytest.mark.stack)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def stack(tmp_path_factory) -> Iterator[Stack]:
    """A running stack, started by `./dev up` from a fresh copy, removed at the end."""
    # World-readable, because the container's user differs from the tests' user.
    checkout = tmp_path_factory.mktemp("stack") / "home port"
    checkout.mkdir(mode=0o755)
    copy_checkout(checkout)
    stack = Stack(checkout, f"homeport-test-{os.getpid()}", free_ports(*PORTS))
    try:
        stack.first_up = stack.dev("up", timeout=600)
        yield stack
    finally:
        stack.close()
        stack.dev("clean", "--yes", check=False)


@pytest.fixture(scope="session")
def production(tmp_path_factory) -> Iterator[ProductionStack]:
    """A production stack with two tenants, from a copy of the checkout; removed at the end."""
    with production_stack(tmp_path_factory.mktemp("production")) as stack:
        yield stack


@pytest.fixture
def running(stack) -> Stack:
    """The stack, healthy and under Gunicorn before each test."""
    stack.ensure_up()
    return stack
