"""Compose: a warm start beside that of bare `docker compose`, the change of servers, the end."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from devtools.checkout import Checkout
from devtools.docker.project import Project
from devtools.engines.compose import ComposeEngine
from devtools.process import background
from devtools.readiness import wait_until
from devtools.services import WEB
from devtools.terminal import Terminal

from .beside import ratio
from .copy import Copy, answers, image_megabytes, separate_project
from .measure import Measure

UP, BARE = "up, everything made", "bare docker compose up, everything made"
PAGE, RETURNS = "to the first page", "the command returns"
DOWN, IMAGE = "down", "image of development"
SERVERS = ("runserver", "gunicorn")

_BARE = ("docker", "compose", "up", "--detach", "--wait")
_PATIENCE = 300  # seconds
_TURN = 0.05  # seconds

Found = defaultdict[tuple[str, str], list[float]]  # by what was done, and until when


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times in one copy of `checkout`, beside the user's own stack."""
    found: Found = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        variables = separate_project(checkout)
        copy = Copy(checkout, Path(directory), variables, ComposeEngine.name)
        with copy.up():
            for number in range(1, rounds + 1):
                with terminal.step(f"round {number}"):
                    found[DOWN, RETURNS].append(_seconds(copy, "down"))
                    _start(copy, UP, copy.command("up"), found)
                    for server in SERVERS:
                        found[server, RETURNS].append(_seconds(copy, "serve", server))
                    copy.dev("down")
                    _start(copy, BARE, _BARE, found)
            image = Project(copy.checkout).services[WEB].declaration["image"]
            size = image_megabytes(copy.checkout, image)
    return [
        Measure(f"{UP}, {PAGE}", "s", 7, found[UP, PAGE]),
        Measure(f"{UP}, {RETURNS}", "s", None, found[UP, RETURNS]),
        Measure(f"{BARE}, {PAGE}", "s", None, found[BARE, PAGE]),
        ratio(f"{PAGE}, over bare docker compose", 1, found[UP, PAGE], found[BARE, PAGE]),
        *(Measure(f"to {name}, {RETURNS}", "s", 2, found[name, RETURNS]) for name in SERVERS),
        Measure(DOWN, "s", 4, found[DOWN, RETURNS]),
        Measure(IMAGE, "MB", 480, [size]),
    ]


def _start(copy: Copy, name: str, command: Sequence[str], found: Found) -> None:
    """Run `command`, which starts the stack; note when the first page and its end come."""
    began, checkout = time.monotonic(), copy.checkout
    with background(command, directory=checkout.root, environment=checkout.variables) as started:
        wait_until(lambda: answers(copy.port), _PATIENCE, "web did not answer", _TURN)
        found[name, PAGE].append(time.monotonic() - began)
        wait_until(lambda: started.status is not None, _PATIENCE, f"{command[0]} did not end")
        found[name, RETURNS].append(time.monotonic() - began)


def _seconds(copy: Copy, *arguments: str) -> float:
    began = time.monotonic()
    copy.dev(*arguments)
    return time.monotonic() - began
