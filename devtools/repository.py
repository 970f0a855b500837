"""The git repository of a checkout, and the rooms that its .gitattributes declares."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from .checkout import Checkout
from .errors import Problem

# Of the attribute `room`: what ./dev adopt removes, what ./dev upgrade renews, and what it leaves.
SAMPLE = "sample"
PROOF = "proof"
WORKSPACE = "workspace"
PRODUCT = "product"


def git(
    checkout: Checkout,
    *arguments: str,
    fails: bool = False,
    timeout: float = 60,
    given: IO[bytes] | str = "",
) -> str:
    """The output of git; if it `fails` and may, nothing."""
    result = checkout.run(["git", *arguments], timeout=timeout, given=given)
    if not fails:
        result.must(f"`git {arguments[0]}` failed")
    return result.output.rstrip("\n") if result.ok else ""


def unready(checkout: Checkout) -> Iterator[Problem]:
    """Why no command can make a commit of this checkout."""
    if not shutil.which("git"):
        yield Problem("git is not installed", "install it, because the result is a commit")
        return
    top = git(checkout, "rev-parse", "--show-toplevel", fails=True)
    if not top or Path(top) != checkout.root.resolve():
        yield Problem(
            "this checkout has no git repository of its own",
            "make one: git init && git add --all && git commit --message 'Begin'",
        )
        return
    if not git(checkout, "rev-parse", "--verify", "HEAD", fails=True):
        yield Problem("nothing is committed", "git add --all && git commit --message 'Begin'")
        return
    if changes := git(checkout, "status", "--porcelain").splitlines():
        what = ", ".join(line[2:].strip() for line in changes[:3])
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        yield Problem(f"uncommitted changes: {what}{more}", "git commit, or git stash --all")
    if not git(checkout, "var", "GIT_COMMITTER_IDENT", fails=True):
        yield Problem(
            "git does not know who commits",
            "git config user.name 'NAME' && git config user.email ADDRESS",
        )


def work_trees(checkout: Checkout, *, fails: bool = False) -> Iterator[tuple[Path, str]]:
    """Folder and branch of each work tree, the main one first; as `git`, none if it `fails`."""
    for entry in git(checkout, "worktree", "list", "--porcelain", fails=fails).split("\n\n"):
        facts = dict(line.partition(" ")[::2] for line in entry.splitlines())
        if "worktree" in facts:
            yield Path(facts["worktree"]), facts.get("branch", "").removeprefix("refs/heads/")


def files(checkout: Checkout, *rooms: str, new: bool = False) -> list[str]:
    """The files that git tracks; with `rooms`, those that .gitattributes declares to be in them.

    With `new`, also those that git would add.
    """
    which = ("--cached", "--others", "--exclude-standard") if new else ()
    listed = git(checkout, "ls-files", "-z", *which, *(f":(attr:room={room})" for room in rooms))
    return [path for path in listed.split("\0") if path]


@contextlib.contextmanager
def work_tree_beside(checkout: Checkout) -> Iterator[Checkout]:
    """A second work tree of HEAD, so that this checkout changes in one step, or not at all.

    It has one place, among git's own files: the next command removes what a killed one left.
    """
    directory = Path(git(checkout, "rev-parse", "--absolute-git-dir")) / "dev"
    other = Checkout(directory / checkout.root.name, checkout.variables)
    _remove(checkout, directory)
    try:
        git(checkout, "worktree", "add", "--quiet", "--detach", str(other.root), "HEAD")
        yield other
    finally:
        _remove(checkout, directory)


def _remove(checkout: Checkout, directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    git(checkout, "worktree", "prune")


def move_to_commit(checkout: Checkout, other: Checkout, message: str) -> str:
    """Commit what is staged in the `other` work tree, and move this checkout there."""
    git(other, "commit", "--quiet", "--no-verify", "--message", message)
    commit = git(other, "rev-parse", "HEAD")
    git(checkout, "merge", "--quiet", "--ff-only", commit)
    deleted = git(checkout, "diff", "--name-only", "-z", "--diff-filter=D", "HEAD^", "HEAD")
    _remove_caches(checkout.root, filter(None, deleted.split("\0")))
    return commit[:9]


def _remove_caches(root: Path, deleted: Iterable[str]) -> None:
    """Remove folders of which only byte code is left, which Python would still import."""
    for folder in sorted({(root / path).parent for path in deleted}, reverse=True):
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        while folder != root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
