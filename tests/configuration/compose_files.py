"""The checkout's Compose files, as Compose reads them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[2]
# All combinations of Compose files in use. A test fails for a Compose file that is in none.
COMBINATIONS: dict[str, tuple[str, ...]] = {
    "local": ("docker-compose.yml",),
    "workspace": ("docker-compose.yml", ".devcontainer/docker-compose.yml"),
    "debug": ("docker-compose.yml", "docker-compose.debug.yml"),
    "production": ("docker-compose.prod.yml",),
}
DEVELOPMENT = {name: files for name, files in COMBINATIONS.items() if name != "production"}


def compose_config(files: tuple[str, ...], *options: str, **variables: str) -> dict[str, Any]:
    """Return the resolved configuration of these files, without .env and with only these variables.

    Raises:
        AssertionError: with Compose's message, if it rejects them.
    """
    chosen = [part for file in files for part in ("--file", file)]
    ended = subprocess.run(
        [
            *("docker", "compose", "--env-file", "/dev/null", *chosen, "--profile", "*"),
            *("config", "--format", "json", *options),
        ],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def read_yaml(file: str) -> Any:
    """Return a YAML file of the checkout as written, before Compose resolves it."""
    return yaml.safe_load((CHECKOUT / file).read_text())
