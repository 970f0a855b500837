"""A small stack instead of the application's, for a real Docker daemon."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path

from front_door import Workspace
from running_stack import free_ports

STACK = Path(__file__).parent / "stack"
BASE_IMAGE = (STACK / "backend" / "Dockerfile").read_text().split()[1]


def lacks(*images: str) -> bool:
    """Whether the daemon does not answer or lacks any of `images`."""
    asked = ["docker", "image", "inspect", *images]
    return not shutil.which("docker") or subprocess.run(asked, capture_output=True).returncode != 0


def put_into(workspace: Workspace) -> None:
    """Copy the small stack to `workspace`, with a separate project and ports; do not start it."""
    shutil.copytree(STACK, workspace.root, dirs_exist_ok=True)
    workspace.variables["COMPOSE_PROJECT_NAME"] = f"devtools-{uuid.uuid4().hex[:8]}"
    workspace.variables |= free_ports("WEB_PORT", "DB_PORT", "REDIS_PORT")


def clean(workspace: Workspace) -> None:
    """Remove everything that it created."""
    workspace.must("clean", "--yes")
