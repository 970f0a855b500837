"""Requirements are locked with hashes, and the locks agree."""

from __future__ import annotations

import re

import pytest
from compose_files import CHECKOUT

from devtools import locking

LOCKS = sorted((CHECKOUT / "requirements").glob("*.txt"))
INPUTS = sorted((CHECKOUT / "requirements").glob("*.in"))
# All but that of the emulator, which needs another botocore and is installed by itself.
TOGETHER = [path for path in LOCKS if path.stem != locking.ALONE]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", re.M)


def pins(path) -> dict[str, str]:
    return {name.lower(): version for name, version in PINNED.findall(path.read_text())}


def test_every_input_has_its_lock():
    assert [path.stem for path in INPUTS] == [path.stem for path in LOCKS]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_pin_has_hashes(lock):
    blocks = re.split(r"\n(?=\S)", lock.read_text())
    for block in blocks:
        if PINNED.match(block):
            assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_no_lock_names_a_package_index(lock):
    assert not re.search(r"https?://|--(index|extra-index|find-links)", lock.read_text())


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_direct_requirement_is_locked(lock):
    wanted = re.findall(r"^([a-z][a-z0-9-]*)", lock.with_suffix(".in").read_text(), re.M)
    assert set(wanted) <= pins(lock).keys()


def test_tools_has_every_package_in_the_same_version():
    everything = pins(CHECKOUT / "requirements" / "tools.txt")
    for lock in TOGETHER:
        assert pins(lock).items() <= everything.items()


@pytest.mark.parametrize("package", ["schemathesis", "hypothesis", "pre-commit", "playwright"])
def test_a_start_without_docker_installs_nothing_to_test_with(package):
    assert package not in pins(CHECKOUT / "requirements" / "embedded.txt")
    assert package in pins(CHECKOUT / "requirements" / "tools.txt")


@pytest.mark.parametrize(
    "package", ["pytest", "debugpy", "uv", "pre-commit", "pytest-django", "django-debug-toolbar"]
)
def test_production_has_nothing_to_test_debug_or_build_with(package):
    assert package not in pins(CHECKOUT / "requirements" / "production.txt")
