"""Fixtures of the configuration tests."""

from __future__ import annotations

import shutil
import sys
from typing import Any

import pytest
from compose_files import CHECKOUT, COMBINATIONS, compose_config

sys.path.insert(0, str(CHECKOUT / "backend"))  # for the environment contract


@pytest.fixture(scope="session", params=COMBINATIONS.values(), ids=COMBINATIONS)
def combination(request) -> tuple[str, ...]:
    """One combination of Compose files; skipped where there is no `docker compose` to ask."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command to read Compose files with")
    return request.param


@pytest.fixture(scope="session")
def config(combination) -> dict[str, Any]:
    """The combination, resolved."""
    return compose_config(combination)


@pytest.fixture(scope="session")
def services(config) -> dict[str, dict[str, Any]]:
    """The services of the combination, by name."""
    return config["services"]
