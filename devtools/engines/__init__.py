"""What can run the stack, and which one does here."""

from __future__ import annotations

from typing import Callable

from ..checkout import Checkout
from ..errors import UsageError
from ..nearest import nearest
from ..terminal import Terminal
from .base import Engine
from .compose import ComposeEngine

VARIABLE = "DEV_ENGINE"
AUTO = "auto"

ENGINES: dict[str, Callable[[Checkout, Terminal], Engine]] = {ComposeEngine.name: ComposeEngine}


def choose(asked: str, checkout: Checkout, terminal: Terminal) -> Engine:
    """The engine that `--engine` asks for, else DEV_ENGINE, else the one that fits this machine.

    Raises UsageError for a name that is none.
    """
    name = asked or checkout.chosen(VARIABLE) or AUTO
    if name == AUTO:
        name = ComposeEngine.name
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}", nearest(name, [AUTO, *ENGINES]))
    return ENGINES[name](checkout, terminal)
