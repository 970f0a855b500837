"""The checkout's Compose files, read the way their users do: by Compose itself."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[2]
# Every way Compose files are used together. A Compose file that is in none fails a test.
COMBINATIONS: dict[str, tuple[str, ...]] = {
    "local": ("docker-compose.yml",),
    "production": ("docker-compose.prod.yml",),
}
DEVELOPMENT = {name: files for name, files in COMBINATIONS.items() if name != "production"}


def compose_config(files: tuple[str, ...], *options: str, **variables: str) -> dict[str, Any]:
    """Return what Compose makes of these files: no .env, no variables but those given.

    Raises:
        AssertionError: with Compose's own message, when it refuses them.
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
