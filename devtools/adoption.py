"""Makes a clone of the workspace a product's own: `./dev adopt`.

The attribute `room` in .gitattributes names the files that are the sample or the proof of the
workspace; in other files, marks name the lines. The mark `several` is for lines of pages that do
not hold for a single tenant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from . import names, origin, project_table
from .checkout import Checkout
from .declared import compose
from .errors import DevError, Problem
from .origin import Origin
from .repository import PROOF, SAMPLE, files, git, move_to_commit, unready, work_tree_beside

MAX_NAME = 20  # it becomes a part of longer names, e.g. of buckets and of roles
MAX_TITLE = 30

# Where Compose files set the variable that makes a product one of a single tenant.
_COMPOSE = (compose.LOCAL, compose.PRODUCTION)
_SEVERAL = "${SINGLE_TENANT-}"
# Other pages name the tenant of the product; tests have those of the sample.
_WITH_SAMPLE_TENANTS = ("docs/testing.md", "docs/reference.md")

# https://www.postgresql.org/docs/18/sql-keywords-appendix.html, and databases and schemas.
_OF_POSTGRESQL = """
    all analyse analyze any array authorization both check column create default desc distinct do
    end false fetch foreign grant group initially lateral leading limit null offset only order
    placing primary references select some symmetric table then trailing true union unique user
    using variadic when where window postgres public template0 template1 information-schema
"""
# Names of packages and databases that are taken.
_RESERVED = {
    **dict.fromkeys(("django", "celery", "redis", "rest", "site"), "a package that Django uses"),
    **dict.fromkeys(_OF_POSTGRESQL.split(), "reserved by PostgreSQL"),
    **dict.fromkeys(("test", "default", "none", "localhost", "production"), "a name of the stack"),
}


@dataclass(frozen=True)
class Plan:
    """What an adoption does: it removes the files of `rooms`, and renames."""

    name: str
    title: str
    rooms: Sequence[str]
    fresh: bool  # README, CHANGELOG and LICENSE are written again
    origin: Origin
    single: bool  # one tenant, which has the product's name

    @property
    def tenant(self) -> str:
        """The name of a single tenant."""
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Done:
    """What an adoption did. Without `commit` it was only tried."""

    removed: Sequence[str]
    changed: Sequence[str]
    commit: str


def plan(
    checkout: Checkout, name: str, title: str, keep_shop: bool, single: bool = False
) -> Plan | None:
    """What there is to do; None if nothing is. Raises DevError with every problem at once."""
    problems = [*judge(checkout.root, name, title), *unready(checkout)]
    if problems:
        raise DevError.of(problems)
    current, known = project_table.name(checkout.root), project_table.title(checkout.root)
    fresh = bool(files(checkout, PROOF))
    rooms = [PROOF, *([] if keep_shop else [SAMPLE])]
    if not fresh and (name, title or known) != (current, known):
        raise DevError(
            f"this is {current} already, with the title {known}",
            "take its commit back first: git revert",
        )
    removed = files(checkout, *rooms)
    several = _SEVERAL in checkout.read(compose.LOCAL)
    if not removed and name == current and not (single and several):
        return None
    if not keep_shop and (commits := _own_commits(checkout, files(checkout, SAMPLE))):
        raise DevError(
            f"the sample has changes of your own: {', '.join(commits)}",
            f"keep it: ./dev adopt {name} --keep-shop\nor take them back first: git revert",
        )
    if not title:
        title = known if name == current else name.replace("-", " ").title()
    single = single or not several
    flags = {"--keep-shop": keep_shop, "--single-tenant": single}
    arguments = [name, "--title", title, *(flag for flag, given in flags.items() if given)]
    return Plan(name, title, rooms, fresh, _origin(checkout, arguments), single)


def _origin(checkout: Checkout, arguments: Sequence[str]) -> Origin:
    """What `./dev upgrade` needs: where the workspace comes from, and how it was adopted."""
    recorded = origin.read(checkout.root)
    if recorded:
        return replace(recorded, adopt=arguments)
    remote = git(checkout, "remote", "get-url", "origin", fails=True)
    source = origin.without_credentials(remote)
    return Origin(source, git(checkout, "rev-parse", "HEAD"), arguments)


def judge(root: Path, name: str, title: str) -> Iterator[Problem]:
    """What is wrong with a name and a title."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        what = f"{name!r} is not lower-case letters, digits and single hyphens"
        yield Problem(what, names.proposed(name, "-", "acme"))
    if len(name) > MAX_NAME:
        yield Problem(f"{name} has {len(name)} characters", f"use at most {MAX_NAME}")
    if why := _taken(root, name):
        yield Problem(f"{name} is {why}", "choose another name")
    if title and not re.fullmatch(r"[^\W_]([^\W_]|[ -])*", title):
        yield Problem(f"the title {title!r} is not letters, digits, spaces and hyphens")
    if len(title) > MAX_TITLE:
        yield Problem(f"the title has {len(title)} characters", f"use at most {MAX_TITLE}")


def _taken(root: Path, name: str) -> str:
    if name.startswith(("aws", "ssm", "pg-")):
        return "reserved by AWS or PostgreSQL"
    return names.taken(root, name.replace("-", "_")) or _RESERVED.get(name, "")


def _own_commits(checkout: Checkout, paths: Sequence[str]) -> list[str]:
    """The commits of `paths` that no remote has, if there are remotes."""
    if not paths or not git(checkout, "for-each-ref", "refs/remotes"):
        return []
    arguments = ("log", "--format=%h %s", "HEAD", "--not", "--remotes", "--", *paths)
    return git(checkout, *arguments).splitlines()


def apply(checkout: Checkout, work: Plan, *, dry_run: bool = False) -> Done:
    """Do it in a work tree beside this one; then move this checkout to the commit."""
    with work_tree_beside(checkout) as other:
        removed = files(other, *work.rooms)
        _change(other, work, removed)
        git(other, "add", "--all")
        arguments = ("diff", "--cached", "--name-only", "--diff-filter=d", "HEAD")
        changed = git(other, *arguments).splitlines()
        if dry_run:
            return Done(removed, changed, "")
        return Done(removed, changed, move_to_commit(checkout, other, _message(work)))


def _change(checkout: Checkout, work: Plan, removed: Sequence[str]) -> None:
    root = checkout.root
    old = project_table.name(root), project_table.title(root)
    license_ = (root / "LICENSE").read_text(encoding="utf-8")
    if removed:
        git(checkout, "rm", "--quiet", "-r", "--", *removed)
    for name in files(checkout):
        path = root / name
        try:
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
        except UnicodeDecodeError:
            continue  # a picture
        new = without_marked(text, work.rooms)
        for before, after in zip(old, (work.name, work.title)):
            new = new.replace(before, after)
        if work.single:
            new = _of_single(name, new, work.tenant)
        if new != text:
            path.write_text(new, encoding="utf-8")
    (root / origin.FILE).write_text(work.origin.text(), encoding="utf-8")
    if work.fresh:
        for name, text in _fresh(work, title=old[1], license_=license_).items():
            (root / name).write_text(text, encoding="utf-8")


def _of_single(name: str, text: str, tenant: str) -> str:
    """The text of a file of a product with a single tenant."""
    if name in _COMPOSE:
        return text.replace(_SEVERAL, f"${{SINGLE_TENANT-{tenant}}}")
    if name.endswith(".md") and name not in _WITH_SAMPLE_TENANTS:
        return without_marked(text, ["several"]).replace("test1", tenant)
    return text


def without_marked(text: str, kinds: Sequence[str]) -> str:
    """`text` without the lines that are marked as one of `kinds`."""
    kind = "|".join(kinds)
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    inside = after = False
    for line in lines:
        mark = re.search(rf"\b(?:{kind}): (begin|end|line)\b *(?:-->|#}}|\*/)?$", line.rstrip("\n"))
        if mark and mark.group(1) != "line":
            inside = mark.group(1) == "begin"
            after = not inside
        elif inside or mark or (after and line == "\n" and kept[-1:] == ["\n"]):
            continue  # no second blank line where a block was
        else:
            kept.append(line)
            after = False
    return "".join(kept)


def _fresh(work: Plan, title: str, license_: str) -> dict[str, str]:
    templates = Path(__file__).parent / "adopted"
    year = str(date.today().year)
    values = {"NAME": work.name, "TITLE": work.title, "ORIGIN": title, "YEAR": year}
    made = {}
    for template in sorted(templates.glob("*.txt")):
        text = template.read_text(encoding="utf-8")
        text = re.sub(r"\{\{(\w+)\}\}", lambda found: values[found.group(1)], text)
        made[template.stem] = _of_single(template.stem, text, work.tenant) if work.single else text
    return {**made, "devtools/LICENSE": license_}


def _message(work: Plan) -> str:
    return f"Adopt the workspace as {work.title}\n\nMade by `./dev adopt {work.name}`."
