"""`./dev backup` and `./dev restore`: which backups and stacks they refuse, and what remains.

tests/stack/test_production.py restores a real one.
"""

from __future__ import annotations

import json

import pytest

from devtools.errors import DevError
from devtools.process import Result
from devtools.production import backup
from devtools.terminal import Terminal

TENANTS = {"test1": "0b7c6a"}
NEW = {"postgres": 18, "tenants": {}, "tables": 1, "roles": 0}
FULL = {"postgres": 18, "tenants": TENANTS, "tables": 60, "roles": 2}


class Stack:
    """A fake stack whose database returns `facts`, one after the other."""

    command = ("docker", "compose")
    configuration = {"services": {"web": {"environment": {}}}}

    def __init__(self, *facts: dict, uploaded: str = "", fails: str = "") -> None:
        self.facts = list(facts)
        self.uploaded = uploaded
        self.fails = fails
        self.asked: list[str] = []

    def running(self, *services: str) -> dict[str, list[str]]:
        return {service: ["1"] for service in services}

    def compose(self, *arguments: str, timeout=0, given=None, into=None) -> Result:
        line = " ".join(arguments)
        self.asked.append(line)
        if self.fails and self.fails in line:
            raise DevError("no space left")
        if into:
            into.write(line.encode())
        facts = "psql" in line and json.dumps(self.facts.pop(0))
        return Result(0, facts or ("find" in line and self.uploaded) or "", "")


@pytest.fixture
def kept(tmp_path):
    """A complete backup."""
    backup.back_up(Stack(FULL, FULL), tmp_path / "kept", Terminal())
    return tmp_path / "kept"


def _refusal(stack, source) -> str:
    with pytest.raises(DevError) as refused:
        backup.restore(stack, source, Terminal())
    return "\n".join(f"{one.what}\n{one.remedy}" for one in refused.value.problems)


def _changes(stack) -> list[str]:
    return [line for line in stack.asked if "--extract" in line or "restore" in line]


def test_a_whole_backup_is_restored_files_first(kept):
    stack = Stack(NEW, FULL)
    assert backup.restore(stack, kept, Terminal())["tenants"] == TENANTS
    files, database = _changes(stack)
    assert "--extract" in files
    assert "/scripts/restore" in database


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("manifest.json", None, "has no manifest.json"),
        ("manifest.json", b"{", "manifest.json cannot be read"),
        ("manifest.json", b"[]", "manifest.json cannot be read"),
        ("manifest.json", b'{"format": 1, "files": {}}', "files.tar was changed after the backup"),
        ("database.sql.gz", None, "database.sql.gz is missing"),
        ("files.tar", None, "files.tar is missing"),
        ("files.tar", b"", "files.tar was changed after the backup"),
        ("database.sql.gz", b"x", "database.sql.gz was changed after the backup"),
    ],
)
def test_an_incomplete_backup_is_refused_before_any_query(kept, name, content, said):
    if content is None:
        (kept / name).unlink()
    else:
        (kept / name).write_bytes(content)
    stack = Stack()
    assert said in _refusal(stack, kept)
    assert stack.asked == []


def test_all_missing_files_are_reported_at_once(kept):
    for name in (backup.DATABASE, backup.FILES):
        (kept / name).unlink()
    assert _refusal(Stack(), kept).count("is missing") == 2


def test_another_format_is_refused(kept):
    manifest = json.loads((kept / backup.MANIFEST).read_text())
    (kept / backup.MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    assert "has the format 2, and this checkout reads 1" in _refusal(Stack(), kept)


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        (Stack(FULL), "the database is not new: it has 60 tables"),
        (Stack({**NEW, "tenants": TENANTS}), "the database is not new"),
        (Stack({**NEW, "roles": 1}), "the database is not new"),
        (Stack({**NEW, "postgres": 17}), "the backup is of PostgreSQL 18, and 17 runs"),
        (Stack(NEW, uploaded="/data/media/test1/x"), "not new: /data/media/test1/x exists"),
    ],
)
def test_a_stack_that_is_not_new_is_refused_and_left_as_it_is(kept, stack, said):
    assert said in _refusal(stack, kept)
    assert _changes(stack) == []


def test_a_failed_restore_names_the_remedy(kept):
    stack = Stack(NEW, fails="/scripts/restore")
    said = _refusal(stack, kept)
    assert said.startswith("no space left")
    assert "docker compose --profile '*' down --volumes" in said


def test_a_partly_restored_database_is_an_error(kept):
    assert "other tenants or tables" in _refusal(Stack(NEW, NEW), kept)
    assert "other tenants or tables" in _refusal(Stack(NEW, {**FULL, "tables": 59}), kept)


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        (Stack(FULL, fails="/scripts/dump"), "no space left"),
        (Stack(FULL, fails="tar"), "no space left"),
        (
            Stack(FULL, {**FULL, "tenants": {"test1": "another"}}),
            "created or dropped during the backup",
        ),
    ],
)
def test_a_failed_backup_is_deleted(tmp_path, stack, said):
    with pytest.raises(DevError, match=said):
        backup.back_up(stack, tmp_path / "kept", Terminal())
    assert list(tmp_path.iterdir()) == []


def test_a_backup_replaces_nothing(kept):
    before = sorted(kept.iterdir())
    with pytest.raises(DevError, match="exists"):
        backup.back_up(Stack(FULL, FULL), kept, Terminal())
    assert sorted(kept.iterdir()) == before
