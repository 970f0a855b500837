"""`./dev adopt` makes a clone a product of its own, in one commit, or changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devtools import adoption
from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.repository import work_tree_beside

SHOP = "backend/products/models.py"


def git(checkout: Checkout, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=checkout.root, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Checkout:
    """This checkout as a clone would be, with its uncommitted changes."""
    copy = Checkout().copy(tmp_path / "product", dict(os.environ))
    git(copy, "init", "--quiet")
    for key, value in (("name", "Ann"), ("email", "ann@example.com")):
        git(copy, "config", f"user.{key}", value)
    git(copy, "add", "--all")
    git(copy, "commit", "--quiet", "--message", "Begin")
    return copy


def adopt(
    checkout: Checkout,
    name: str = "acme-2",
    title: str = "",
    keep_shop: bool = False,
    single: bool = False,
):
    work = adoption.plan(checkout, name, title, keep_shop, single)
    return work and adoption.apply(checkout, work)


def refused(checkout: Checkout, *arguments) -> str:
    before = git(checkout, "rev-parse", "HEAD")
    with pytest.raises(DevError) as error:
        adopt(checkout, *arguments)
    assert git(checkout, "rev-parse", "HEAD") == before
    return "\n".join(f"{problem.what}: {problem.remedy}" for problem in error.value.problems)


def test_a_clone_becomes_a_product_in_one_commit(clone):
    done = adopt(clone, title="Acme Orders")

    assert SHOP in done.removed
    assert not (clone.root / "backend/products").exists()
    assert git(clone, "status", "--porcelain") == ""
    assert len(git(clone, "log", "--oneline").splitlines()) == 2
    assert (clone.root / "README.md").read_text().startswith("# Acme Orders\n")
    assert "All rights reserved" in (clone.root / "LICENSE").read_text()
    old_names = git(clone, "grep", "-il", "homeport").split()
    assert old_names == ["README.md", "devtools/LICENSE"]  # where it comes from
    marked = subprocess.run(
        ["git", "grep", "-E", "(sample|proof): (begin|end|line)"],
        cwd=clone.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert marked.stdout == ""

    assert adopt(clone) is None
    assert "this is acme-2 already" in refused(clone, "other")


def test_the_work_tree_of_a_killed_adoption_is_removed_by_the_next(clone):
    killed = work_tree_beside(clone)
    killed.__enter__()
    assert len(git(clone, "worktree", "list").splitlines()) == 2
    adopt(clone)
    assert len(git(clone, "worktree", "list").splitlines()) == 1
    assert git(clone, "status", "--porcelain") == ""


def test_the_shop_can_stay_and_go_later(clone):
    adopt(clone, keep_shop=True)
    assert (clone.root / SHOP).exists()
    assert not (clone.root / "bench").exists()
    assert "with the title Acme 2" in refused(clone, "acme-2", "Other")
    (clone.root / "README.md").write_text("# Ours\n")
    git(clone, "commit", "--quiet", "--all", "--message", "Describe it")

    adopt(clone)
    assert not (clone.root / SHOP).exists()
    assert (clone.root / "README.md").read_text() == "# Ours\n"


def test_a_product_with_a_single_tenant_says_so_in_its_compose_files_and_its_pages(clone):
    adopt(clone, single=True)
    for name in ("docker-compose.yml", "docker-compose.prod.yml"):
        assert "${SINGLE_TENANT-acme_2}" in (clone.root / name).read_text()
    assert "createsuperuser --tenant acme_2" in (clone.root / "README.md").read_text()
    of_several = git(clone, "grep", "-lE", "test[12]|several: ", "--", "*.md").split()
    # Tests have two tenants, and the reference is generated.
    assert of_several == ["docs/reference.md", "docs/testing.md"]
    assert adopt(clone, single=True) is None


def test_a_single_tenant_can_be_chosen_later(clone):
    adopt(clone)
    assert "createsuperuser --tenant test1" in (clone.root / "README.md").read_text()
    done = adopt(clone, single=True)
    recorded = "devtools/adopted/origin.json"
    compose = ["docker-compose.prod.yml", "docker-compose.yml"]
    pages = [name for name in done.changed if name.endswith(".md")]
    assert sorted(done.changed) == sorted([recorded, *compose, *pages])
    assert "test1" not in (clone.root / "README.md").read_text()
    assert "--single-tenant" in (clone.root / recorded).read_text()


def test_a_shop_with_changes_of_its_owner_is_kept(clone, tmp_path):
    git(clone, "clone", "--quiet", ".", str(tmp_path / "changed"))
    changed = Checkout(tmp_path / "changed", clone.variables)
    for key, value in (("name", "Ann"), ("email", "ann@example.com")):
        git(changed, "config", f"user.{key}", value)
    with (changed.root / SHOP).open("a") as file:
        file.write("# ours\n")
    git(changed, "commit", "--quiet", "--all", "--message", "Change a product")

    said = refused(changed)
    assert "Change a product" in said
    assert "--keep-shop" in said


@pytest.mark.parametrize(
    ("name", "title", "said"),
    [
        ("Acme_Shop", "", ["lower-case letters", "for example: acme-shop"]),
        ("2acme", "", ["for example: acme"]),
        ("a" * 21, "b" * 31, ["use at most 20", "use at most 30"]),
        ("import", "", ["a word or a module of Python"]),
        ("json", "", ["a word or a module of Python"]),
        ("django", "", ["a package that Django uses"]),
        ("tenants", "", ["a folder here"]),
        ("user", "", ["reserved by PostgreSQL"]),
        ("aws-shop", "", ["reserved by AWS"]),
        ("acme", 'A"B', ["letters, digits, spaces and hyphens"]),
    ],
)
def test_what_is_wrong_with_a_name_is_said_at_once(name, title, said):
    problems = list(adoption.judge(Path(__file__).parents[2], name, title))
    text = "\n".join(f"{problem.what}: {problem.remedy}" for problem in problems)
    assert all(part in text for part in said)
    assert ("the title" in text) == bool(title)


@pytest.mark.parametrize("name", ["acme", "acme-2", "a" * 20])
def test_a_good_name_has_no_problems(name):
    assert not list(adoption.judge(Path(__file__).parents[2], name, ""))


@pytest.mark.parametrize(("name", "title"), [("a", "B"), ("a" * 20, "B" * 30)])
def test_a_name_of_any_length_leaves_the_lines_of_code_as_they_are(clone, name, title):
    adopt(clone, name, title)
    for hook in ("ruff-format", "ruff-check"):
        checked = clone.run([sys.executable, "-m", "pre_commit", "run", hook, "--all-files"])
        assert checked.status == 0, checked.output


def test_uncommitted_changes_are_refused_with_the_problems_of_the_name(clone):
    (clone.root / "mine.txt").write_text("mine")
    said = refused(clone, "Acme")
    assert "uncommitted changes: mine.txt: git commit" in said
    assert "for example: acme" in said


def test_a_checkout_without_git_is_refused(tmp_path):
    (tmp_path / "docker-compose.yml").touch()
    with pytest.raises(DevError, match="no git repository of its own"):
        adoption.plan(Checkout(tmp_path, dict(os.environ)), "acme", "", False)


def test_an_interrupted_adoption_changes_nothing(clone, monkeypatch):
    def interrupted(work):
        raise KeyboardInterrupt

    monkeypatch.setattr(adoption, "_message", interrupted)
    with pytest.raises(KeyboardInterrupt):
        adopt(clone)
    assert git(clone, "status", "--porcelain") == ""
    assert len(git(clone, "worktree", "list").splitlines()) == 1
    assert (clone.root / SHOP).exists()


def test_a_mark_takes_the_blank_line_after_it_along():
    text = "a\n\n# proof: begin\nb\n# proof: end\n\nc\nd  # sample: line\n"
    assert adoption.without_marked(text, ["proof", "sample"]) == "a\n\nc\n"
    assert adoption.without_marked(text, ["proof"]) == "a\n\nc\nd  # sample: line\n"
