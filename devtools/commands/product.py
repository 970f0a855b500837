"""Making the workspace one's own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict

from .. import adoption, new_application
from .. import upgrade as upgrading
from ..terminal import Mark, Terminal
from . import shapes
from .options import DRY_RUN, flag, option
from .registry import Run, group

command = group("Make it yours", "./dev adopt NAME", "./dev startapp NAME", "./dev upgrade")


@command(
    "adopt",
    "turn a fresh clone into a product: rename it, remove the sample; one commit",
    "./dev adopt acme --title 'Acme Orders'",
    "./dev adopt acme --dry-run",
    options=[
        option("name", metavar="NAME", help="of the product: lower-case, with hyphens"),
        option("--title", default="", help="what people call it; default: from NAME"),
        flag("--keep-shop", help="keep the sample shop"),
        flag("--single-tenant", help="one tenant, of this name, at every address"),
        DRY_RUN,
    ],
    answer=shapes.ADOPT,
)
def adopt(run: Run) -> int:
    options, terminal = run.options, run.terminal
    work = adoption.plan(
        run.checkout, options.name, options.title, options.keep_shop, options.single_tenant
    )
    if work is None:
        run.answer({"removed": [], "changed": [], "commit": "", "dry_run": options.dry_run})
        terminal.mark(Mark.GOOD, f"this is {options.name}: nothing to do")
        return 0
    with terminal.step(f"adopting it as {work.title}"):
        done = adoption.apply(run.checkout, work, dry_run=options.dry_run)
    run.answer({**asdict(done), "dry_run": options.dry_run})
    for title, paths in (("removed", done.removed), ("changed", done.changed)):
        _say_files(terminal, title, paths, options.dry_run)
    if options.dry_run:
        terminal.say("  nothing was changed; without --dry-run it is one commit")
        return 0
    terminal.say(f"  commit {done.commit}: git show --stat; to take it back: git revert HEAD")
    terminal.heading("left to decide")
    for line in _LEFT:
        terminal.say(f"  {line}")
    return 0


@command(
    "startapp",
    "make an application: model, migration, admin, API, task, file upload and tests",
    "./dev startapp invoices",
    "./dev startapp people --model Person",
    options=[
        option("name", metavar="NAME", help="of the application, in the plural"),
        option("--model", default="", help="of its first class; default: from NAME"),
    ],
    answer=shapes.STARTAPP,
)
def startapp(run: Run) -> int:
    name = run.options.name
    with run.terminal.step(f"making {name}"):
        files = new_application.make(run.checkout.root, name, run.options.model)
    run.answer({"files": [str(path) for path in files]})
    for path in files:
        run.terminal.say(f"  {path}")
    run.terminal.say(f"  ./dev test {name}   runs its tests")
    run.terminal.say("  ./dev migrate   creates its tables")
    run.terminal.say("  ./dev restart web worker   serves it")
    return 0


@command(
    "upgrade",
    "merge a newer version of the workspace; your own files stay as they are; one commit",
    "./dev upgrade --dry-run",
    "./dev upgrade ~/src/workspace --to 1.2.0",
    "./dev upgrade --include backend/tenants",
    options=[
        option(
            "source",
            metavar="SOURCE",
            nargs="?",
            default="",
            help="a folder or an address of git; default: where this product was cloned from",
        ),
        option("--to", default="", help="a version or a branch; default: the newest version"),
        option(
            "--include",
            metavar="PATH",
            nargs="+",
            default=[],
            help="merge these files of the product as well, e.g. backend/tenants",
        ),
        option(
            "--base",
            metavar="COMMIT",
            default="",
            help="of the version that this workspace comes from, if it is not recorded",
        ),
        DRY_RUN,
    ],
    answer=shapes.UPGRADE,
)
def upgrade(run: Run) -> int:
    options, terminal = run.options, run.terminal
    with terminal.step("merging the newer workspace"):
        done = upgrading.upgrade(
            run.checkout,
            options.source,
            options.to,
            base=options.base,
            include=options.include,
            dry_run=options.dry_run,
        )
    run.answer({"dry_run": options.dry_run, **(asdict(done) if done else {})})
    if done is None:
        terminal.say("  this product has that version: nothing to do")
        if not options.to:
            terminal.say("  commits after the newest version: --to BRANCH")
        return 0
    _say_files(terminal, f"changed, now {done.version}", done.changed, options.dry_run)
    _say_files(terminal, "with changes of yours, kept", done.yours, options.dry_run)
    _say_files(terminal, "yours, changed there, not taken", done.not_taken, options.dry_run)
    if done.not_taken:
        terminal.say(f"    see them: git diff {upgrading.FROM} {upgrading.TO} -- PATH")
        again = shlex.join(["./dev", "upgrade", *filter(None, [options.source])])
        terminal.say(f"    merge them, too: {again} --base {done.base} --include PATH (all: .)")
    if options.dry_run:
        terminal.say("  nothing was changed; without --dry-run it is one commit")
        return 0
    terminal.say(f"  commit {done.commit}: git show --stat; to take it back: git revert HEAD")
    for line in _AFTER_UPGRADE:
        terminal.say(f"  {line}")
    return 0


def _say_files(terminal: Terminal, title: str, paths: Sequence[str], listed: bool) -> None:
    terminal.say(f"  {title}: {len(paths)} files")
    for path in paths if listed or len(paths) <= _FEW else ():
        terminal.say(f"    {path}")


_FEW = 20
_AFTER_UPGRADE = (
    "./dev reference   renews the pages that are generated",
    "./dev lint && ./dev test --workspace   checks the result",
    "./dev up --build   runs it",
)
_LEFT = (
    "LICENSE: all rights are reserved; devtools/LICENSE stays with the workspace's code",
    "README.md: say what the product is",
    "docs/production.md: the domain, the sender and the buckets of production",
    "a stack that was started before has its data under the old name: ./dev clean",
)
