"""Every locked package has wheels for all machines that Homeport runs on."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from devtools import locking
from devtools.checkout import Checkout
from devtools.terminal import Terminal

EVERY_LINUX = ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64")


@pytest.fixture
def lock(tmp_path):
    """Lock a package that has wheels with these tags, in an index that is a folder."""

    def write(*tags: str) -> Checkout:
        (tmp_path / "requirements").mkdir()
        hashes = [_wheel(tmp_path, tag) for tag in tags]
        text = " ".join(["leftpad==1.0", *(f"--hash=sha256:{digest}" for digest in hashes)])
        (tmp_path / "requirements" / "tools.txt").write_text(text)
        (tmp_path / "uv.toml").write_text('no-index = true\nfind-links = ["."]\n')
        return Checkout(tmp_path, {})

    return write


def _wheel(directory: Path, tag: str) -> str:
    path = directory / f"leftpad-1.0-{tag}.whl"
    about = "leftpad-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: leftpad\nVersion: 1.0\n"
        )
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without(checkout: Checkout) -> list[str]:
    return [
        problem.what
        for problem in locking.without_wheels(checkout, Path(sys.executable), Terminal())
    ]


def test_wheels_for_every_platform(lock):
    tags = (*EVERY_LINUX, "macosx_11_0_arm64")
    assert not _without(lock(*(f"cp311-abi3-{tag}" for tag in tags)))


def test_a_platform_without_a_wheel_is_named_with_the_package(lock):
    found = _without(
        lock(*(f"py3-none-{tag}" for tag in EVERY_LINUX), "py3-none-macosx_11_0_x86_64")
    )
    assert [what.partition(": ")[2].partition(":")[0] for what in found] == [
        "macOS arm64, Python 3.11",
        "macOS arm64, Python 3.14",
    ]
    assert all("leftpad==1.0 has no wheels" in what for what in found)


def test_a_python_without_a_wheel_is_named(lock):
    tags = (*EVERY_LINUX, "macosx_11_0_arm64")
    found = _without(lock(*(f"cp311-cp311-{tag}" for tag in tags)))
    assert len(found) == 3
    assert all("Python 3.14: " in what for what in found)
