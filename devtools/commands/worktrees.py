"""Several branches at once, each with its own stack."""

from __future__ import annotations

from ..errors import FAILED, UsageError
from ..services import WEB
from ..terminal import Mark, megabytes, table
from . import shapes
from .options import YES, flag, option
from .registry import Run, group

command = group("Several branches", "./dev worktree add my-branch", "./dev worktree list")


@command(
    "worktree",
    "make a work tree of a branch beside this checkout, with its own running stack",
    "./dev worktree add my-branch",
    "./dev worktree add my-branch --copy-data",
    "./dev worktree add my-branch --masked   a copy without personal data",
    "./dev worktree list",
    "./dev worktree remove my-branch   deletes its stack and data: asks first",
    options=[
        option("action", choices=["add", "list", "remove"], help="what to do"),
        option("branch", nargs="?", metavar="BRANCH", help="an existing or a new one"),
        flag(
            "--copy-data",
            help="with a copy of the database and files of the stack that runs here; "
            "default: empty",
        ),
        flag(
            "--masked", help="with a copy of the database, without personal data and without files"
        ),
        YES,
    ],
    answer=shapes.WORKTREES,
)
def worktree(run: Run) -> int:
    from .. import worktrees

    options, checkout = run.options, run.checkout
    if options.action == "list":
        return _list(run)
    if not options.branch:
        raise UsageError("missing branch", f"./dev worktree {options.action} BRANCH")
    if options.action == "add":
        if run.json:
            raise UsageError(
                "a work tree is added without --json", "its state: ./dev worktree list --json"
            )
        copied = worktrees.MASKED if options.masked else worktrees.ALL if options.copy_data else ""
        return worktrees.add(run.engine, run.terminal, options.branch, copied=copied)
    tree = worktrees.named(checkout, options.branch)
    worktrees.refuse_removal(tree, checkout)
    if not run.confirmed(worktrees.remains(tree, checkout, run.terminal)):
        return FAILED
    worktrees.remove(tree, checkout, run.terminal)
    run.answer({"removed": str(tree.path)})
    run.terminal.mark(Mark.GOOD, f"removed {tree.path}; the branch {tree.branch} stays")
    return 0


def _list(run: Run) -> int:
    from .. import worktrees

    found = list(worktrees.running(run.checkout, run.terminal))
    if run.json:
        rows = [
            {
                "path": str(tree.path),
                "branch": tree.branch,
                "stacks": [
                    {
                        "engine": one.status.engine,
                        "healthy": one.status.up,
                        "memory": one.memory,
                        "addresses": dict(one.status.addresses),
                    }
                    for one in stacks
                ],
            }
            for tree, stacks in found
        ]
        run.answer(rows)
        return 0
    lines = [["BRANCH", "STACK", "MEMORY", "WEB", "FOLDER"]]
    for tree, stacks in found:
        rest = [
            [one.words, megabytes(one.memory), one.status.addresses.get(WEB, "")] for one in stacks
        ]
        lines += [[tree.branch, *row, str(tree.path)] for row in rest or [["not up", "", ""]]]
    for line in table(lines):
        run.terminal.say(f"  {line}")
    return 0
