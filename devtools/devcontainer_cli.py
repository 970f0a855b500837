"""The reference CLI of Dev Containers, for tests and benchmarks without an editor. It is installed
from npm into `.dev`."""

from __future__ import annotations

import shutil
from pathlib import Path

from .checkout import Checkout
from .errors import DevError
from .terminal import Terminal

PACKAGE = "@devcontainers/cli"
VERSION = "0.89.0"
# The oldest version that the package supports.
NODE = 20


def ensure(checkout: Checkout, terminal: Terminal) -> Path:
    """The program `devcontainer`, installed if necessary.

    Raises DevError if Node.js is missing or too old, or the package cannot be downloaded.
    """
    home = checkout.state / "devcontainer-cli" / VERSION
    program = home / "node_modules" / ".bin" / "devcontainer"
    _must_have_node(checkout)
    if not program.exists():
        with terminal.step(f"installing {PACKAGE} {VERSION}"):
            _install(checkout, home)
    return program


def _must_have_node(checkout: Checkout) -> None:
    path = checkout.variables.get("PATH")
    remedy = (
        f"install Node.js {NODE} or newer with npm from your system's packages or "
        "https://nodejs.org/"
    )
    for name in ("node", "npm"):
        if not shutil.which(name, path=path):
            raise DevError(f"{PACKAGE} needs Node.js, and there is no {name} here", remedy)
    said = checkout.run(["node", "--version"]).output.strip()
    major = said.removeprefix("v").partition(".")[0]
    if not major.isdigit() or int(major) < NODE:
        raise DevError(f"{PACKAGE} needs Node.js {NODE}; this is {said or 'unknown'}", remedy)


def _install(checkout: Checkout, home: Path) -> None:
    # Atomic: an interrupted installation must not look complete.
    part = home.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    options = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts")
    install = ["npm", "install", *options, "--prefix", str(part), f"{PACKAGE}@{VERSION}"]
    checkout.run(install, timeout=300).must(
        f"{PACKAGE} {VERSION} could not be installed",
        "check the access to npm's registry, then run the same command again",
    )
    part.rename(home)
