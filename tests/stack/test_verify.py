"""The acceptance criteria against a running stack, with the user's command."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def broken_example(running):
    """Remove a variable from .env.example for one test."""
    file = running.checkout / ".env.example"
    original = file.read_bytes()
    file.write_bytes(original.replace(b"# LOG_LEVEL=INFO\n", b""))
    yield
    file.write_bytes(original)


def test_every_criterion_that_is_quick_to_check_is_met(running):
    told = running.dev("verify", "--quick", "--json", check=False, timeout=1800)
    criteria = json.loads(told.stdout)["criteria"]

    failed = {one["id"]: one["evidence"] for one in criteria if one["status"] == "fail"}
    assert failed == {}
    assert told.returncode == 0
    assert all(one["evidence"] for one in criteria)
    assert {"pass", "left out"} == {one["status"] for one in criteria}


def test_nothing_of_a_run_is_left(running):
    before = running.containers()
    files = {path: path.read_bytes() for path in (running.checkout / "backend").rglob("*.py")}
    running.dev("verify", "BP-6", "BP-11", "LDE-3.3", timeout=600)

    assert running.containers() == before
    assert files == {path: path.read_bytes() for path in files}
    tenants = "SELECT string_agg(schema_name, ' ' ORDER BY 1) FROM tenant_config"
    assert running.dev("psql", "-Atc", tenants).stdout.strip() == "test1 test2"
    accounts = "SELECT count(*) FROM public.users_user WHERE email LIKE 'verify-%'"
    assert running.dev("psql", "-Atc", accounts).stdout.strip() == "0"


def test_a_criterion_that_is_not_met_is_named_and_ends_with_1(running, broken_example):
    ended = running.dev("verify", "BP-2", "LDE-1.2", check=False)

    assert ended.returncode == 1
    assert "✖ BP-2" in ended.stdout
    assert "✔ LDE-1.2" in ended.stdout
    assert "1 passed, 1 failed" in ended.stdout


def test_a_report_page_is_written(running, tmp_path):
    page = tmp_path / "acceptance.md"
    running.dev("verify", "LDE-1.2", "--markdown", str(page))
    assert "| ✔ pass | LDE-1.2 |" in page.read_text()
