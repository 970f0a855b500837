"""Making the workspace one's own."""

from __future__ import annotations

import argparse

from .. import adoption, new_application
from ..terminal import Mark
from .registry import Run, group

command = group("Make it yours", "./dev adopt NAME", "./dev startapp NAME")


def _adopt_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the product: lower-case, with hyphens")
    parser.add_argument("--title", default="", help="what people call it; default: from NAME")
    parser.add_argument("--keep-shop", action="store_true", help="keep the sample shop")
    parser.add_argument("--dry-run", action="store_true", help="list the files; change nothing")


@command(
    "adopt",
    "turn a fresh clone into a product: rename it, remove the sample; one commit",
    "./dev adopt acme --title 'Acme Orders'",
    "./dev adopt acme --dry-run",
    options=_adopt_options,
)
def adopt(run: Run) -> int:
    options, terminal = run.options, run.terminal
    work = adoption.plan(run.checkout, options.name, options.title, options.keep_shop)
    if work is None:
        terminal.mark(Mark.GOOD, f"this is {options.name}: nothing to do")
        return 0
    with terminal.step(f"adopting it as {work.title}"):
        done = adoption.apply(run.checkout, work, dry_run=options.dry_run)
    for title, paths in (("removed", done.removed), ("changed", done.changed)):
        terminal.say(f"  {title}: {len(paths)} files")
        for path in paths if options.dry_run else ():
            terminal.say(f"    {path}")
    if options.dry_run:
        terminal.say("  nothing was changed; without --dry-run it is one commit")
        return 0
    terminal.say(f"  commit {done.commit}: git show --stat; to take it back: git revert HEAD")
    terminal.heading("left to decide")
    for line in _LEFT:
        terminal.say(f"  {line}")
    return 0


def _startapp_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the application, in the plural")
    parser.add_argument("--model", default="", help="of its first class; default: from NAME")


@command(
    "startapp",
    "make an application: model, migration, admin, API, task, file upload and tests",
    "./dev startapp invoices",
    "./dev startapp people --model Person",
    options=_startapp_options,
)
def startapp(run: Run) -> int:
    name = run.options.name
    with run.terminal.step(f"making {name}"):
        files = new_application.make(run.checkout.root, name, run.options.model)
    for path in files:
        run.terminal.say(f"  {path}")
    run.terminal.say(f"  ./dev test {name}   runs its tests")
    run.terminal.say("  ./dev migrate   creates its tables")
    run.terminal.say("  ./dev restart web worker   serves it")
    return 0


_LEFT = (
    "LICENSE: all rights are reserved; devtools/LICENSE stays with the workspace's code",
    "README.md: say what the product is",
    "docs/production.md: the domain, the sender and the buckets of production",
    "a stack that was started before has its data under the old name: ./dev clean",
)
