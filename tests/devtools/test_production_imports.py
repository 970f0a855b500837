"""bin/check-code, a part of `./dev lint`, names imports that only a developer's machine can do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.checkout import Checkout

LACKS = "is not in production, because requirements/production.txt does not have"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Checkout().copy(tmp_path / "copy", {}).root


def check(copy: Path) -> str:
    done = subprocess.run(
        [copy / "backend/bin/check-code"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    return done.stderr


def test_imports_of_packages_that_production_lacks_are_named_with_their_lines(copy):
    views = copy / "backend/users/views.py"
    views.write_text(
        views.read_text().replace("\nfrom typing", "\nimport hypothesis\nfrom typing", 1)
    )
    said = check(copy)
    assert said.count(f"backend/users/views.py:5: hypothesis {LACKS} hypothesis: add it to") == 1


def test_imports_within_functions_are_named_too(copy):
    services = copy / "backend/users/services.py"
    text = services.read_text()
    services.write_text(f"{text}\n\ndef of_a_call() -> None:\n    from moto.core import models\n")

    last = len(services.read_text().splitlines())
    assert f"backend/users/services.py:{last}: moto {LACKS} moto: add it to" in check(copy)


def test_an_installed_application_that_production_lacks_is_named(copy):
    settings = copy / "backend/core/settings/base.py"
    text = settings.read_text()
    settings.write_text(text.replace('    "django_filters",', '    "hypothesis.extra.django",'))
    assert f"hypothesis {LACKS}" in check(copy)
