"""Work trees: what they are given, what is refused, and their stacks without Docker."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from embedded_checkout import EmbeddedCheckout

from devtools import worktrees
from devtools.checkout import Checkout
from devtools.errors import DevError

KEPT = "from django.core.files.storage import default_storage as files"
COMPOSE = "services: {web: {ports: ['127.0.0.1:${WEB_PORT:-8000}:8000']}}\n"


def _git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout


def _commit(root: Path) -> None:
    (root / ".gitignore").write_text(".dev\n.env\n.venv\n__pycache__\n")
    _git(root, "init", "--quiet", "--initial-branch", "main")
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message", "Begin")


@pytest.fixture
def checkout(tmp_path):
    """A repository with the files that a work tree is recognised by."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "dev").touch()
    (root / "docker-compose.yml").write_text(COMPOSE)
    _commit(root)
    return Checkout(root, {"PATH": "/usr/bin:/bin", "WEB_PORT": "8100", "COLOUR": "red"})


@pytest.fixture
def tree(checkout):
    """A work tree that git made."""
    path = checkout.root.with_name("beside")
    _git(checkout.root, "worktree", "add", "--quiet", "-b", "feature/one", str(path))
    return worktrees.WorkTree(path, "feature/one")


def test_a_work_tree_is_found_by_its_branch_its_folder_and_its_path(checkout, tree):
    for name in ("feature/one", "beside", str(tree.path)):
        assert worktrees.named(checkout, name) == tree
    with pytest.raises(DevError, match="no work tree 'two'"):
        worktrees.named(checkout, "two")


def test_project_name_and_ports_of_another_stack_are_not_carried(checkout, tree):
    assert tree.checkout(checkout).variables.keys() == {"PATH", "COLOUR"}

    lines = (
        "COMPOSE_PROJECT_NAME=shop\nSECRET='a b'\nexport WEB_PORT=8100\n# a comment\nSMTP_PORT=25\n"
    )
    (checkout.root / ".env").write_text(lines)
    (checkout.root / "docker-compose.override.yml").write_text("services: {}\n")
    worktrees._carry(checkout, tree.path)
    assert (tree.path / ".env").read_text() == "SECRET='a b'\n# a comment\nSMTP_PORT=25\n"
    assert (tree.path / "docker-compose.override.yml").exists()


def test_neither_the_main_work_tree_nor_this_checkout_is_removed(checkout, tree):
    main = worktrees.named(checkout, "main")
    with pytest.raises(DevError, match="cannot remove itself"):
        worktrees.refuse_removal(main, checkout)
    with pytest.raises(DevError, match="main work tree"):
        worktrees.refuse_removal(main, tree.checkout(checkout))


@pytest.mark.stack
def test_a_work_tree_has_its_own_stack_with_the_data_of_this_one(venv, tmp_path):
    first = EmbeddedCheckout.make(tmp_path / "shop", venv)
    _commit(first.root)
    other = EmbeddedCheckout(tmp_path / "shop-feature-one", dict(first.variables))
    try:
        missing = first.dev("worktree", "add", "feature/one", "--copy-data")
        assert "the database does not run" in missing.stderr
        assert not other.root.exists()

        first.up()
        first.sql("CREATE TABLE public.kept ()")
        store = f"{KEPT}; from io import BytesIO; files.save('kept.txt', BytesIO(b'kept'))"
        assert first.dev("manage", "shell", "--tenant", "test1", "-c", store).returncode == 0
        added = first.dev("worktree", "add", "feature/one", "--copy-data")
        assert added.returncode == 0, added.stdout + added.stderr

        assert other.sql("SELECT to_regclass('public.kept') IS NOT NULL") == "t"
        read = f"{KEPT}; print(files.open('kept.txt').read())"
        assert "b'kept'" in other.dev("manage", "shell", "--tenant", "test1", "-c", read).stdout
        assert other.healthy()
        services = ("web", "db", "redis", "localstack")
        assert {*map(other.port, services)}.isdisjoint(map(first.port, services))
        listed = json.loads(first.dev("worktree", "list", "--json").stdout)
        assert [one["healthy"] for tree in listed for one in tree["stacks"]] == [True, True]

        again = first.dev("worktree", "add", "feature/one")
        assert f"{other.root} exists" in again.stderr
        asked = first.dev("worktree", "remove", "feature/one")
        assert "--yes" in asked.stderr
        removed = first.dev("worktree", "remove", "feature/one", "--yes")
        assert removed.returncode == 0, removed.stderr
        assert not other.root.exists()
        assert first.healthy()
    finally:
        if other.root.exists():
            other.clean()
        first.clean()
