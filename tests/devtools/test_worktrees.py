"""Work trees: what they are given, what is refused, and their stacks without Docker."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import urllib.parse
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import OpenerDirector

import pytest
from embedded_checkout import EmbeddedCheckout

from devtools import addresses, worktrees
from devtools.checkout import Checkout
from devtools.engines.embedded import EmbeddedEngine
from devtools.errors import DevError
from devtools.terminal import Terminal

KEPT = "from django.core.files.storage import default_storage as files"
COMPOSE = "services: {web: {ports: ['127.0.0.1:${WEB_PORT:-8000}:8000']}}\n"


ACCOUNT = ("ann@customers.example", "a long password")


def _open(browser: OpenerDirector, port: int, path: str, form: dict | None = None):
    url = f"http://localhost:{port}{path}"
    data = urllib.parse.urlencode(form).encode() if form else None
    return browser.open(
        urllib.request.Request(url, data, {"Origin": url[: -len(path)]}), timeout=60
    )


def _log_in(browser: OpenerDirector, port: int) -> None:
    page = _open(browser, port, "/admin/login/").read().decode()
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    account = dict(zip(("username", "password"), ACCOUNT, strict=True))
    _open(
        browser, port, "/admin/login/?next=/admin/", {"csrfmiddlewaretoken": token, **account}
    ).close()


def _is_logged_in(browser: OpenerDirector, port: int) -> bool:
    return "login" not in _open(browser, port, "/admin/").url


def _disk(root: Path) -> int:
    """The bytes of a checkout that it shares with no other; its data does not count."""
    found = {path.lstat().st_ino: path.lstat() for path in root.rglob("*")}
    data = {path.lstat().st_ino for path in (root / ".dev" / "data").rglob("*")}
    return sum(
        one.st_blocks * 512
        for inode, one in found.items()
        if one.st_nlink == 1 and inode not in data
    )


def _is_cache_elsewhere(root: Path) -> bool:
    cache = Path.home() / ".cache"
    return not cache.exists() or cache.stat().st_dev != root.stat().st_dev


def _answers(port: int, host: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/", headers={"Host": host})
    try:
        return connection.getresponse().status
    finally:
        connection.close()


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


def test_the_address_of_a_work_tree_has_its_branch(checkout, tree):
    assert addresses.host(checkout.root, "shop") == "localhost"
    assert addresses.host(tree.path, "shop-feature-one") == "feature-one.localhost"
    assert addresses.host(tree.path, "beside_it") == "beside-it.localhost"
    assert addresses.host(tree.path, f"shop-{'long' * 20}") == "localhost"
    _git(checkout.root, "config", "worktree.useRelativePaths", "true")
    _git(checkout.root, "worktree", "repair", str(tree.path))
    assert addresses.host(tree.path, "shop-feature-one") == "feature-one.localhost"
    (tree.path / ".git").write_text("gitdir: ../.git/modules/shop\n")  # a submodule
    assert addresses.host(tree.path, "shop") == "localhost"


@pytest.mark.stack
def test_a_work_tree_has_its_own_stack_with_the_data_of_this_one(venv, tmp_path):
    first = EmbeddedCheckout.make(tmp_path / "shop", venv)
    first.commit("Begin")
    other = EmbeddedCheckout(tmp_path / "shop-feature-one", dict(first.variables))
    try:
        missing = first.dev("worktree", "add", "feature/one", "--copy-data")
        assert "the database does not run" in missing.stderr
        assert not other.root.exists()

        first.up()
        first.sql("CREATE TABLE test1.undeclared (email text)")
        refused = first.dev("worktree", "add", "feature/one", "--masked")
        assert "undeclared" in refused.stderr
        assert not other.root.exists()
        first.sql("DROP TABLE test1.undeclared")
        first.sql("CREATE TABLE public.kept ()")
        store = f"{KEPT}; from io import BytesIO; files.save('kept.txt', BytesIO(b'kept'))"
        assert first.dev("manage", "shell", "--tenant", "test1", "-c", store).returncode == 0
        account = f"from users.models import User; User.objects.create_superuser(*{ACCOUNT})"
        assert first.dev("manage", "shell", "--tenant", "test1", "-c", account).returncode == 0
        added = first.dev("worktree", "add", "feature/one", "--copy-data")
        assert added.returncode == 0, added.stdout + added.stderr

        assert other.sql("SELECT to_regclass('public.kept') IS NOT NULL") == "t"
        read = f"{KEPT}; print(files.open('kept.txt').read())"
        assert "b'kept'" in other.dev("manage", "shell", "--tenant", "test1", "-c", read).stdout
        assert other.healthy()
        services = ("web", "db", "redis", "localstack")
        assert {*map(other.port, services)}.isdisjoint(map(first.port, services))
        # Packages are links to uv's cache, if that is on the same disk.
        assert _disk(other.root) < 100e6 or _is_cache_elsewhere(other.root)
        # Browsers share the cookies of a host between ports.
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        for one in (first, other):
            _log_in(browser, one.port("web"))
        assert all(_is_logged_in(browser, one.port("web")) for one in (first, other))
        shown = json.loads(other.dev("status", "--json").stdout)
        address = f"feature-one.localhost:{other.port('web')}"
        assert shown["addresses"]["web"] == f"http://{address}/"
        assert shown["tenants"]["test2"] == f"http://test2.{address}/"
        assert _answers(other.port("web"), f"test2.{address}") == 200
        assert _answers(first.port("web"), f"test2.{address}") == 404
        listed = json.loads(first.dev("worktree", "list", "--json").stdout)
        assert [one["healthy"] for tree in listed for one in tree["stacks"]] == [True, True]

        assert other.dev("down", "--volumes", "--yes").returncode == 0
        engine = EmbeddedEngine(Checkout(first.root, first.variables), Terminal())
        theirs = Checkout(other.root, other.variables)
        with tempfile.TemporaryFile() as dump:
            worktrees._dump(engine, Terminal(), dump, masked=True)
            worktrees._restore(engine, theirs, Terminal(), dump)
        found = "SELECT string_agg(email, ' ') FROM test1.users_user"
        assert first.sql(found) == ACCOUNT[0]
        assert re.fullmatch(r"masked-\w+@example\.invalid", other.sql(found))
        assert "@@" not in first.sql("SELECT string_agg(datname, ' ') FROM pg_database")
        files = [path.name for path in other.root.joinpath(".dev").rglob("kept.txt*")]
        assert files == []

        again = first.dev("worktree", "add", "feature/one")
        assert f"{other.root} exists" in again.stderr
        asked = first.dev("worktree", "remove", "feature/one")
        assert "--yes" in asked.stderr
        removed = first.dev("worktree", "remove", "feature/one", "--yes")
        assert removed.returncode == 0, removed.stderr
        assert not other.root.exists()
        assert first.healthy()
    finally:
        for one in (other, first):
            if one.root.exists():
                one.clean()
