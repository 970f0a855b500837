"""`./dev upgrade` merges a newer workspace into a product, in one commit, or changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from devtools import VERSION, origin, upgrade
from devtools.checkout import ROOT, Checkout
from devtools.errors import DevError

# What an adoption reads, and a file of each room.
FILES = ("dev", "devtools", ".gitattributes", ".gitignore", "docker-compose.yml", "LICENSE",
         "docs/aws.md", "docs/debug.md", "docs/performance.md", "backend/core/health.py",
         "backend/products/models.py")  # fmt: skip
PAGE, OTHER_PAGE, OLD_PAGE = "docs/debug.md", "docs/new.md", "docs/aws.md"
TOOL, HEALTH = "devtools/cache.py", "backend/core/health.py"


PERSON = {
    f"GIT_{role}_{key}": "ann@example.com"
    for role in ("AUTHOR", "COMMITTER")
    for key in ("NAME", "EMAIL")
}


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
    ).stdout


def commit(root: Path, files: dict[str, str]) -> str:
    """Append to files of a repository, or remove those of an empty text, in one commit."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text:
            with path.open("a") as file:
                file.write(text)
        else:
            path.unlink()
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Change it")
    return git(root, "rev-parse", "HEAD").strip()


def repository(root: Path, source: Path | None = None) -> Path:
    if source:
        git(source, "clone", "--quiet", ".", str(root))
    else:
        git(root, "init", "--quiet", "--initial-branch", "main")
    for key, value in (("name", "Ann"), ("email", "ann@example.com")):
        git(root, "config", f"user.{key}", value)
    return root


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small workspace, and beside it a product that was made from it."""
    root = tmp_path_factory.mktemp("first") / "workspace"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, root / name)
    commit(repository(root), {})
    product = repository(root.parent / "product", root)
    subprocess.run(
        ["./dev", "adopt", "acme-2", "--title", "Acme Orders"],
        cwd=product, check=True, capture_output=True,
    )  # fmt: skip
    return root.parent


@pytest.fixture
def workspace(first: Path, tmp_path: Path) -> Path:
    return repository(tmp_path / "workspace", first / "workspace")


@pytest.fixture
def product(first: Path, tmp_path: Path) -> Checkout:
    root = repository(tmp_path / "product", first / "product")
    git(root, "remote", "remove", "origin")
    return Checkout(root, dict(os.environ))


def run(product: Checkout, source: Path | str, version: str = "", **options):
    return upgrade.upgrade(product, str(source), version, **options)


def refused(product: Checkout, source: Path | str, version: str = "", **options) -> str:
    before = git(product.root, "rev-parse", "HEAD"), git(product.root, "status", "--porcelain")
    with pytest.raises(DevError) as error:
        run(product, source, version, **options)
    after = git(product.root, "rev-parse", "HEAD"), git(product.root, "status", "--porcelain")
    assert before == after
    return "\n".join(f"{problem.what}: {problem.remedy}" for problem in error.value.problems)


def test_the_workspace_is_renewed_and_everything_else_stays(workspace, product):
    new = commit(
        workspace,
        {
            PAGE: "Homeport can do more.\n",
            OTHER_PAGE: "# Of homeport\n",
            OLD_PAGE: "",
            HEALTH: "# new\n",
            "backend/products/models.py": "# new\n",
            "docs/performance.md": "new\n",
        },
    )
    tried = run(product, workspace, dry_run=True)
    assert tried.commit == ""
    assert git(product.root, "log", "--oneline").count("\n") == 2

    done = run(product, workspace)
    assert done.changed == tried.changed == [
        origin.FILE, OLD_PAGE, PAGE, OTHER_PAGE
    ]  # fmt: skip
    assert done.not_taken == [HEALTH]
    assert done.yours == []
    assert (product.root / PAGE).read_text().endswith("Acme Orders can do more.\n")
    assert (product.root / OTHER_PAGE).read_text() == "# Of acme-2\n"
    assert not (product.root / "backend/products").exists()
    assert git(product.root, "log", "--oneline").count("\n") == 3
    assert git(product.root, "status", "--porcelain") == ""
    assert origin.read(product.root).commit == new

    assert run(product, workspace) is None
    git(product.root, "revert", "--no-edit", "HEAD")
    assert (product.root / OLD_PAGE).exists()
    assert run(product, workspace).changed == done.changed


def test_changes_of_the_owner_are_merged_and_named(workspace, product):
    commit(product.root, {TOOL: "# ours\n", PAGE: "Ours.\n", "docs/ours.md": "# Ours\n"})
    (workspace / PAGE).write_text(f"A new line.\n{(workspace / PAGE).read_text()}")
    commit(workspace, {})

    done = run(product, workspace)
    assert done.changed == [origin.FILE, PAGE]
    assert done.yours == [TOOL, PAGE]
    text = (product.root / PAGE).read_text()
    assert text.startswith("A new line.\n")
    assert text.endswith("Ours.\n")
    assert (product.root / TOOL).read_text().endswith("# ours\n")


def test_a_conflict_is_named_and_can_be_resolved_by_hand(workspace, product):
    commit(product.root, {PAGE: "Ours.\n", TOOL: "", OLD_PAGE: "Ours.\n"})
    commit(
        workspace,
        {PAGE: "Theirs.\n", TOOL: "# theirs\n", OLD_PAGE: "", OTHER_PAGE: "# New\n"},
    )

    said = refused(product, workspace)
    assert f"the same lines: {PAGE}" in said
    assert f"deleted here: {TOOL}" in said
    assert f"deleted in the newer version: {OLD_PAGE}" in said
    assert len(git(product.root, "worktree", "list").splitlines()) == 1
    assert f"git cherry-pick {upgrade.CHANGE}" in said

    subprocess.run(["git", "cherry-pick", upgrade.CHANGE], cwd=product.root, check=False)
    assert "<<<<<<<" in (product.root / PAGE).read_text()
    (product.root / PAGE).write_text("Ours and theirs.\n")
    git(product.root, "add", "--all")
    git(product.root, "-c", "core.editor=true", "cherry-pick", "--continue")
    assert (product.root / OTHER_PAGE).exists()
    assert run(product, workspace) is None


def test_files_of_the_product_are_merged_only_if_asked_for(workspace, product):
    commit(workspace, {HEALTH: "# new\n", "backend/core/other.py": "# new\n", PAGE: "New.\n"})
    done = run(product, workspace)
    assert done.not_taken == [HEALTH, "backend/core/other.py"]
    assert "+# new" in git(product.root, "diff", upgrade.FROM, upgrade.TO, "--", HEALTH)

    later = run(product, workspace, base=done.base, include=[HEALTH])
    assert later.changed == [HEALTH]
    assert later.yours == []
    assert (product.root / HEALTH).read_text().endswith("# new\n")
    assert run(product, workspace, base=done.base, include=[HEALTH]) is None


def test_a_file_that_the_owner_declares_as_the_products_is_left(workspace, product):
    commit(product.root, {".gitattributes": f"{PAGE} room=product\n"})
    commit(workspace, {PAGE: "New.\n", OTHER_PAGE: "# New\n"})
    done = run(product, workspace)
    assert done.changed == [origin.FILE, OTHER_PAGE]
    assert done.not_taken == [PAGE]


def test_the_newest_version_is_taken_unless_another_is_named(workspace, product):
    git(workspace, "tag", "v0.9.0")
    for version in ("v0.10.0", "v0.11.0-rc.1"):
        commit(workspace, {PAGE: f"{version}\n"})
        git(workspace, "tag", "--annotate", "--message", version, version)
    assert run(product, workspace, "0.9.0") is None
    run(product, workspace)
    assert (product.root / PAGE).read_text().endswith("\nv0.10.0\n")
    run(product, workspace, "main")
    assert (product.root / PAGE).read_text().endswith("\nv0.11.0-rc.1\n")
    assert run(product, workspace, "0.9.0") is None  # what it has is newer
    said = refused(product, workspace, "0.10.1")
    assert "has no version '0.10.1'" in said
    assert "origin/" not in said


def test_commits_before_the_adoption_are_the_owners(workspace, tmp_path):
    early = repository(tmp_path / "early", workspace)
    commit(early, {PAGE: "Ours, early.\n"})
    subprocess.run(["./dev", "adopt", "acme"], cwd=early, check=True, capture_output=True)
    commit(workspace, {TOOL: "# new\n"})

    done = run(Checkout(early, dict(os.environ)), workspace)
    assert (done.changed, done.yours) == ([origin.FILE, TOOL], [PAGE])
    assert (early / PAGE).read_text().endswith("Ours, early.\n")


def test_a_product_without_the_history_is_upgraded_from_its_version(workspace, product):
    shutil.rmtree(product.root / ".git")
    repository(product.root)
    recorded = origin.read(product.root)
    unknown = origin.Origin("", "0" * 40, recorded.adopt)
    (product.root / origin.FILE).write_text(unknown.text())
    commit(product.root, {})
    git(workspace, "tag", f"v{VERSION}")
    commit(workspace, {TOOL: "# new\n"})

    assert TOOL in run(product, workspace, "main").changed
    git(product.root, "reset", "--quiet", "--hard", "HEAD^")
    git(workspace, "tag", "--delete", f"v{VERSION}")
    assert "./dev upgrade --base COMMIT" in refused(product, workspace)
    assert TOOL in run(product, workspace, base=recorded.commit).changed


def test_a_shallow_clone_and_a_second_work_tree_are_upgraded(workspace, product, tmp_path):
    commit(workspace, {TOOL: "# new\n"})
    address = product.root.as_uri()
    git(tmp_path, "clone", "--quiet", "--depth", "1", address, "shallow")
    git(product.root, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"))
    for name in ("shallow", "tree"):
        other = Checkout(tmp_path / name, {**os.environ, **PERSON})
        assert run(other, workspace).changed == [origin.FILE, TOOL]


def test_what_prevents_an_upgrade_is_said(workspace, product, tmp_path):
    commit(workspace, {TOOL: "# new\n"})
    assert "git pull" in refused(Checkout(workspace, dict(os.environ)), workspace)
    assert "./dev upgrade SOURCE" in refused(product, "")
    for source in (tmp_path, tmp_path / "none", "https://127.0.0.1:1/workspace.git"):
        said = refused(product, source)
        assert f"{source} cannot be read: fatal: " in said
        assert "check the address and the network" in said
    (product.root / "mine.txt").write_text("mine")
    assert "uncommitted changes: mine.txt" in refused(product, workspace)
    with pytest.raises(DevError, match="no git repository of its own"):
        run(Checkout(tmp_path, dict(os.environ)), workspace)


@pytest.mark.parametrize(
    ("address", "recorded"),
    [
        (
            "https://ann:secret@git.example.com/workspace.git",
            "https://git.example.com/workspace.git",
        ),
        ("https://git.example.com:8443/workspace", "https://git.example.com:8443/workspace"),
        ("git@git.example.com:team/workspace.git", "git@git.example.com:team/workspace.git"),
        ("/home/ann/workspace", ""),
    ],
)
def test_an_address_is_recorded_without_a_password(address, recorded):
    assert origin.without_credentials(address) == recorded


def test_every_file_is_the_workspaces_or_the_products():
    checkout = Checkout()
    listed = git(checkout.root, "ls-files", "--", ":(attr:!room)").splitlines()
    assert listed == [], "name its room in .gitattributes"


def test_the_changes_begin_with_the_version_in_development():
    assert re.search("^## (.+) - ", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == VERSION
