"""Commands that run inside the stack, and as whom."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from devtools.checkout import Checkout
from devtools.commands import COMMANDS, quality


@pytest.mark.parametrize(
    ("rest", "writes_code"),
    [
        (["squashmigrations", "products", "0002"], True),
        (["--verbosity=0", "startapp", "invoices"], True),
        (["create_tenant", "startapp"], False),
        ([], False),
    ],
)
def test_manage_runs_as_the_caller_if_the_command_writes_code(rest, writes_code):
    asked = []
    engine = SimpleNamespace(manage=lambda words, **options: asked.append((words, options)) or 0)
    assert COMMANDS["manage"].run(SimpleNamespace(engine=engine, rest=rest)) == 0
    assert asked == [(rest, {"writes_code": writes_code})]


@pytest.mark.parametrize(
    ("here", "given", "found"),
    [
        (".", "backend/a/tests/test_a.py::test_one[x]", "a/tests/test_a.py::test_one[x]"),
        ("backend/a", "tests/test_a.py", "a/tests/test_a.py"),
        ("backend", "a/tests/test_a.py", "a/tests/test_a.py"),
        ("backend/a", "tests", "tests"),  # perhaps the value of -k
        (".", "tests/nowhere.py", "tests/nowhere.py"),
    ],
)
def test_a_path_of_tests_is_found_from_where_it_was_typed(
    tmp_path, monkeypatch, here, given, found
):
    file = tmp_path / "backend/a/tests/test_a.py"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.chdir(tmp_path / here)
    run = SimpleNamespace(checkout=Checkout(tmp_path), rest=[given])
    assert quality._in_backend(run) == [found]
