"""Fixtures of the configuration tests."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

import pytest
from compose_files import CHECKOUT, COMBINATIONS, compose_config

sys.path.insert(0, str(CHECKOUT))  # for devtools

from devtools.checkout import Checkout


@pytest.fixture(scope="session", params=COMBINATIONS.values(), ids=COMBINATIONS)
def combination(request) -> tuple[str, ...]:
    """A combination of Compose files; skipped without `docker compose`."""
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


@pytest.fixture
def copy(tmp_path) -> Checkout:
    """A copy of this checkout without its tests, which a test may change."""
    names = shutil.ignore_patterns(
        ".git", ".venv", ".dev", ".env", "tests", "__pycache__", ".*_cache"
    )
    root = shutil.copytree(CHECKOUT, tmp_path / "checkout", ignore=names, symlinks=True)
    (root / ".venv").symlink_to(sys.prefix)  # shared, to save time
    return Checkout(root, {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")})
