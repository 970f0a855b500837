"""A production stack for the fault runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from production_stack import ProductionStack, production_stack


@pytest.fixture(scope="session")
def production(tmp_path_factory) -> Iterator[ProductionStack]:
    """A production stack with two tenants, from a copy of the checkout; removed at the end."""
    with production_stack(tmp_path_factory.mktemp("production")) as stack:
        yield stack
