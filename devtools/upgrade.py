"""Brings the workspace in a product to a newer version: `./dev upgrade`.

The version that the product was made from and the newer one are both adopted as the product was.
What differs between them, in the files of the workspace, is a commit; git picks it onto the
product's own, so its changes there are merged and everything else stays as it is.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import VERSION, origin
from .checkout import Checkout
from .errors import DevError
from .nearest import nearest
from .origin import Origin
from .process import capture
from .repository import PRODUCT, WORKSPACE, files, git, move_to_commit, unready, work_tree_beside

# In the product's repository, of its last upgrade: the two versions as the product would have
# them, and the commit between them.
FROM, TO, CHANGE = "upgrade/from", "upgrade/to", "upgrade/change"

_FETCH_TIMEOUT = 600
_VERSION = re.compile(r'^VERSION = "([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Done:
    """What an upgrade did. Without `commit` it was only tried."""

    version: str
    base: str  # the commit of the workspace that the product had
    changed: Sequence[str]
    yours: Sequence[str]  # files of the workspace that the product changed; they are merged
    not_taken: Sequence[str]  # files of the product that are new or changed in the workspace
    commit: str


@dataclass(frozen=True)
class _Tree:
    """The files of a commit, each with its mode and its content as `git update-index` reads it."""

    entries: Mapping[str, str]
    workspace: frozenset[str] = frozenset()
    owned: frozenset[str] = frozenset()


def upgrade(
    checkout: Checkout,
    source: str,
    version: str,
    *,
    base: str = "",
    include: Sequence[str] = (),
    dry_run: bool = False,
) -> Done | None:
    """Merge `version` from `source` into the checkout; None if it has it already.

    Files of the product at the paths `include` are merged as well. Raises DevError, and changes
    nothing, if the checkout is not ready or both sides changed the same lines.
    """
    if problems := list(unready(checkout)):
        raise DevError.of(problems)
    recorded = origin.read(checkout.root)
    if recorded is None:
        raise DevError("this checkout was not adopted", "get later versions with git: git pull")
    source = _address(source or recorded.source)
    new = _fetched(checkout, source, version)
    old = _base(checkout, source, base or recorded.commit, new)
    if old == new:
        return None
    before, after = _adopted(checkout, old, recorded, FROM), _adopted(checkout, new, recorded, TO)
    differing = _differing(before, after) - {origin.FILE}
    product = replace(_tree(checkout, "HEAD"), owned=frozenset(files(checkout, PRODUCT)))
    chosen = {path for path in differing if _is_chosen(path, before, after, product, include)}
    record = _entry(checkout, replace(recorded, commit=new).text())
    name = _version(checkout, new)
    message = f"Upgrade the workspace to {name}\n\nMade by `./dev upgrade`, from {new}."
    parent = _commit(checkout, product, {path: before.entries.get(path) for path in chosen})
    changes = {**{path: after.entries.get(path) for path in chosen}, origin.FILE: record}
    change = _commit(checkout, product, changes, message, parent)
    git(checkout, "update-ref", f"refs/{CHANGE}", change)
    with work_tree_beside(checkout) as other:
        _pick(other, change, name)
        changed = git(other, "diff", "--name-only", "--cached", "HEAD").splitlines()
        if not changed:
            return None
        commit = "" if dry_run else move_to_commit(checkout, other, message)
    # An earlier run may have brought what differs from `before`.
    changed_here = _differing(before, product) & _differing(after, product)
    yours = changed_here & before.workspace - {origin.FILE}
    return Done(name, old[:9], changed, sorted(yours), sorted(differing - chosen), commit)


def _pick(checkout: Checkout, change: str, name: str) -> None:
    try:
        git(checkout, "cherry-pick", "--no-commit", change)
    except DevError:
        conflicts = _conflicts(checkout)
        if not conflicts:
            raise
        found = "; ".join(f"{kind}: {', '.join(paths)}" for kind, paths in conflicts.items())
        raise DevError(
            f"{name} does not fit to changes of this product: {found}",
            f"nothing was changed; to resolve it by hand: git cherry-pick {CHANGE}\n"
            "then edit the files, or git rm those to delete,"
            " and: git add --all && git cherry-pick --continue\n"
            "or give up: git cherry-pick --abort",
        ) from None


def _conflicts(checkout: Checkout) -> dict[str, list[str]]:
    """The files that git could not merge, by the reason."""
    versions: dict[str, str] = {}  # of each file: 1 of before, 2 of the product, 3 of the newer
    for line in git(checkout, "ls-files", "--unmerged", "-z").split("\0"):
        entry, _, path = line.partition("\t")
        if path:
            versions[path] = versions.get(path, "") + entry[-1]
    reasons = {"12": "deleted in the newer version", "13": "deleted here"}
    found: dict[str, list[str]] = {}
    for path, present in versions.items():
        found.setdefault(reasons.get(present, "the same lines"), []).append(path)
    return found


def _address(source: str) -> str:
    """What git is asked for; a folder by its whole path, because git runs elsewhere."""
    if not source:
        raise DevError(
            "this product does not record where its workspace comes from",
            "name a folder or an address: ./dev upgrade SOURCE",
        )
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else source


def _fetched(checkout: Checkout, source: str, version: str) -> str:
    """The commit of `version` in `source`, a tag or a branch; by default the newest version."""
    refs = _refs(checkout, source)
    tried = [f"refs/tags/v{version}", f"refs/tags/{version}", f"refs/heads/{version}"]
    if not version:
        tried = [max(filter(_numbers, refs), key=_numbers, default="HEAD")]
    found = next((ref for ref in tried if ref in refs), "")
    if not found:
        kinds = ("refs/heads/", "refs/tags/")
        known = [ref.split("/", 2)[2] for ref in refs if ref.startswith(kinds)]
        raise DevError(f"{source} has no version {version!r}", nearest(version, known))
    return _fetch(checkout, source, found)


def _refs(checkout: Checkout, source: str) -> Sequence[str]:
    listed = capture(
        ["git", "ls-remote", "--quiet", source, "HEAD", "refs/heads/*", "refs/tags/*"],
        directory=checkout.root,
        environment={**checkout.variables, "GIT_TERMINAL_PROMPT": "0"},
        timeout=_FETCH_TIMEOUT,
    ).must(
        f"{source} cannot be read",
        "check the address and the network, or name a folder with a clone of it",
    )
    names = [line.split("\t")[1] for line in listed.output.splitlines()]
    return [name for name in names if not name.endswith("^{}")]


def _numbers(ref: str) -> list[int]:
    """Of a tag that is a version without a suffix; otherwise empty."""
    found = re.fullmatch(r"refs/tags/v?(\d+)\.(\d+)\.(\d+)", ref)
    return [int(part) for part in found.groups()] if found else []


def _fetch(checkout: Checkout, source: str, ref: str) -> str:
    arguments = ("fetch", "--quiet", "--no-tags", source, f"+{ref}:refs/upgrade/source")
    git(checkout, *arguments, timeout=_FETCH_TIMEOUT)
    return git(checkout, "rev-parse", "refs/upgrade/source^{commit}")


def _base(checkout: Checkout, source: str, recorded: str, new: str) -> str:
    """The last commit of the source in the product's workspace; the record may be of its own."""
    if found := git(checkout, "merge-base", recorded, new, fails=True):
        return found
    tag = f"refs/tags/v{VERSION}"
    if tag in _refs(checkout, source):
        return _fetch(checkout, source, tag)
    raise DevError(
        f"{source} has neither the commit that this workspace comes from, {recorded[:9]},"
        f" nor the version {VERSION}",
        "name the commit or the tag that it comes from: ./dev upgrade --base COMMIT",
    )


def _adopted(checkout: Checkout, commit: str, recorded: Origin, ref: str) -> _Tree:
    """Adopt `commit` by its own `./dev adopt`, and keep the result as `ref`."""
    with tempfile.TemporaryDirectory(prefix="upgrade-") as directory:
        clone = Checkout(Path(directory) / "workspace", checkout.variables)
        # With the objects of this repository, which may be shallow, and without its remotes:
        # ./dev adopt would take commits that they lack for the owner's.
        clone.root.mkdir()
        git(clone, "init", "--quiet")
        git(clone, "config", "user.name", "upgrade")
        git(clone, "config", "user.email", "upgrade@localhost")
        objects = git(checkout, "rev-parse", "--path-format=absolute", "--git-path", "objects")
        (clone.root / ".git/objects/info/alternates").write_text(f"{objects}\n", "utf-8")
        git(clone, "checkout", "--quiet", "--detach", commit)
        clone.run([sys.executable, "dev", "adopt", *recorded.adopt], timeout=_FETCH_TIMEOUT).must(
            f"the adoption of {commit[:9]} failed"
        )
        git(checkout, "fetch", "--quiet", "--no-tags", str(clone.root), f"+HEAD:refs/{ref}")
        return replace(_tree(checkout, ref), workspace=frozenset(files(clone, WORKSPACE)))


def _tree(checkout: Checkout, commit: str) -> _Tree:
    lines = git(checkout, "ls-tree", "-r", "-z", commit).split("\0")
    parted = (line.partition("\t") for line in lines if line)
    return _Tree({path: entry for entry, _, path in parted})


def _differing(one: _Tree, other: _Tree) -> set[str]:
    paths = {*one.entries, *other.entries}
    return {path for path in paths if one.entries.get(path) != other.entries.get(path)}


def _is_chosen(
    path: str, before: _Tree, after: _Tree, product: _Tree, include: Sequence[str]
) -> bool:
    """Whether a file is merged: the newer version says that it is the workspace's, the product's
    own .gitattributes does not say otherwise; or it is at one of the paths `include`.
    """
    rooms = (after if path in after.entries else before).workspace
    return (path in rooms and path not in product.owned) or any(
        one == "." or path == one or path.startswith(f"{one.rstrip('/')}/") for one in include
    )


def _commit(
    checkout: Checkout,
    product: _Tree,
    changes: Mapping[str, str | None],
    message: str = "before",
    parent: str = "",
) -> str:
    """A commit of the product's files with `changes`, each None for a file that is deleted."""
    entries = {**product.entries, **changes}
    lines = "".join(f"{entry}\t{path}\0" for path, entry in entries.items() if entry)
    with tempfile.TemporaryDirectory(prefix="upgrade-") as directory:
        variables = {**checkout.variables, "GIT_INDEX_FILE": f"{directory}/index"}
        aside = Checkout(checkout.root, variables)
        git(aside, "update-index", "-z", "--index-info", given=lines)
        tree = git(aside, "write-tree")
    parents = ["-p", parent] if parent else []
    return git(checkout, "commit-tree", tree, *parents, "-m", message)


def _entry(checkout: Checkout, text: str) -> str:
    """A new file with `text`, as a tree lists it."""
    return "100644 blob " + git(checkout, "hash-object", "-w", "--stdin", given=text)


def _version(checkout: Checkout, commit: str) -> str:
    """The version of the workspace at a commit, with the commit for those between versions."""
    text = git(checkout, "show", f"{commit}:devtools/__init__.py", fails=True)
    found = _VERSION.search(text)
    return f"{found.group(1)} ({commit[:9]})" if found else commit[:9]
