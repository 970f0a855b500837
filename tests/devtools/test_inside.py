"""Commands that run inside the stack, and as whom."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from devtools.commands import COMMANDS


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
