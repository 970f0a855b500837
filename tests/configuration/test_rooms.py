"""Who may import what: core no application, and boto3 only backend/cloud."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from compose_files import CHECKOUT

BACKEND = CHECKOUT / "backend"
OF_AWS = {"boto3", "botocore", "s3transfer"}
APPLICATIONS = {path.parent.name for path in BACKEND.glob("*/apps.py")} - {"core"}


def sources(*directories: str) -> list[Path]:
    """Return the Python files below these directories of the checkout, but no tests."""
    found = [path for name in directories for path in (CHECKOUT / name).rglob("*.py")]
    assert found
    return [path for path in found if "tests" not in path.parts]


def imported(path: Path) -> set[str]:
    """Return the first part of the name of every module that a file imports, anywhere in it."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules}


def test_aws_is_spoken_to_by_cloud_and_the_seed_alone():
    rooms = {
        path.relative_to(CHECKOUT).parts[:2]
        for path in sources("backend", "devtools", "init-scripts")
        if imported(path) & OF_AWS
    }
    assert ("backend", "cloud") in rooms
    # The export of task definitions reads botocore's descriptions, and asks nobody.
    assert rooms <= {("backend", "cloud"), ("init-scripts", "aws"), ("devtools", "ecs")}


@pytest.mark.parametrize("room", ["core", "cloud", "tenants"])
def test_what_others_stand_on_imports_none_of_them(room):
    for path in sources(f"backend/{room}"):
        # What measures the whole may look at all of it.
        if not path.name.startswith("bench_"):
            assert not imported(path) & (APPLICATIONS - {room}), path
