"""Choosing the engine."""

from __future__ import annotations

from typing import Callable

from ..checkout import Checkout
from ..nearest import must_be_known
from ..preflight import daemon
from ..terminal import Terminal
from . import AUTO
from .base import Engine
from .compose import ComposeEngine
from .devcontainer import DevContainerEngine
from .embedded import EmbeddedEngine

VARIABLE = "DEV_ENGINE"

ENGINES: dict[str, Callable[[Checkout, Terminal], Engine]] = {
    engine.name: engine for engine in (ComposeEngine, EmbeddedEngine, DevContainerEngine)
}


def choose(asked: str, checkout: Checkout, terminal: Terminal) -> Engine:
    """The engine from `--engine`, else from DEV_ENGINE, else the one that fits this machine.

    Its `reason` explains the choice. Raises UsageError for an unknown name.
    """
    name = asked or checkout.chosen(VARIABLE) or AUTO
    reason = "--engine" if asked else VARIABLE
    if not asked and DevContainerEngine(checkout, terminal).runs:
        name = AUTO  # .env chooses for the machine outside the container
    if name == AUTO:
        name, reason = _fitting(checkout, terminal)
    must_be_known("engine", [name], [AUTO, *ENGINES])
    engine = ENGINES[name](checkout, terminal)
    engine.reason = reason
    return engine


def _fitting(checkout: Checkout, terminal: Terminal) -> tuple[str, str]:
    if DevContainerEngine(checkout, terminal).runs:
        return DevContainerEngine.name, "this is the dev container"
    if EmbeddedEngine(checkout, terminal).runs:
        return EmbeddedEngine.name, "the stack is running on it"
    if problem := daemon.look(checkout).silence:
        return EmbeddedEngine.name, problem.what
    return ComposeEngine.name, "the Docker daemon answers"
