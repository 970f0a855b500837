"""The dev container from within: its fixed paths, so that programs in it find them without
configuration. bin/workspace, its main process, makes them."""

from __future__ import annotations

from pathlib import Path

from . import texts

HOME = Path("/tmp/dev-workspace")
SOCKET = HOME / "supervisor.sock"
LOG = HOME / "web.log"
# The variables of the server that `./dev serve` chose; the container's apply without it.
CHOICE = HOME / "web.env"
# The path of the container's checkout.
_CHECKOUT = HOME / "checkout"


def inside(checkout: Path) -> bool:
    """Whether this process runs in a dev container of `checkout`."""
    return texts.read(_CHECKOUT).strip() == str(checkout)
