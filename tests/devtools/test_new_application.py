"""`./dev startapp` makes an application that is registered and has nothing left to declare."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devtools import new_application
from devtools.checkout import Checkout
from devtools.errors import DevError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Checkout().copy(tmp_path / "copy", {}).root


def test_an_application_is_registered_and_complete(copy):
    new_application.make(copy, "trial_people", "TrialPerson")
    new_application.make(copy, "trial_rows", "")

    assert "class TrialPerson(" in (copy / "backend/trial_people/models.py").read_text()
    assert "trial_rows.count_words" in (copy / "backend/trial_rows/services.py").read_text()
    settings = (copy / new_application.SETTINGS).read_text()
    assert (
        '    "trial_rows.count_missing_words": {"schedule": crontab(minute="*/30")},\n' in settings
    )
    files = (copy / "backend/trial_people").rglob("*.py")
    assert [path for path in files if "note" in path.read_text()] == []
    checked = subprocess.run(
        [copy / "backend/bin/check-code"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert "No changes detected" in checked.stdout


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("My-App", "", ["single underscores", "for example: my_app"]),
        ("2apps", "App", ["for example: apps"]),
        ("a" * 21, "", ["use at most 20"]),
        ("class", "", ["a word or a module of Python"]),
        ("json", "", ["a word or a module of Python"]),
        ("users", "", ["a folder here"]),
        ("test", "", ["a word or a module of Python"]),
        ("celery", "", ["an installed package"]),
        ("django_tenants", "", ["an installed package"]),
        ("rest_framework", "", ["an installed package"]),
        ("health", "", ["an address of the API"]),
        ("auth", "", ["the label of an installed application"]),
        ("Bad", "lower case", ["single underscores", "no name of a class"]),
    ],
)
def test_what_is_wrong_with_the_names_is_said_at_once(copy, name, model, said):
    before = (copy / new_application.SETTINGS).read_text()
    with pytest.raises(DevError) as error:
        new_application.make(copy, name, model)
    text = "\n".join(f"{problem.what}: {problem.remedy}" for problem in error.value.problems)
    assert all(part in text for part in said)
    assert (copy / new_application.SETTINGS).read_text() == before


def test_an_application_that_exists_is_not_overwritten(copy):
    new_application.make(copy, "trial_rows", "")
    path = copy / "backend/trial_rows/models.py"
    path.write_text("# ours\n")
    with pytest.raises(DevError, match="trial_rows is a folder here"):
        new_application.make(copy, "trial_rows", "")
    assert path.read_text() == "# ours\n"


def test_imports_are_in_the_order_of_their_modules():
    core = "from core import x\n"
    zebra = "from zebra import (\n    y,\n)\n"
    text = f"{zebra}{core}\n{core}{zebra}"
    assert new_application.sort_imports(text) == f"{core}{zebra}\n{core}{zebra}"
