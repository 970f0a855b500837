"""Which engine runs the stack here."""

from __future__ import annotations

from typing import Callable

from ..checkout import Checkout
from ..checks import docker
from ..errors import DevError, NoAnswer, UsageError
from ..nearest import nearest
from ..terminal import Terminal
from . import AUTO
from .base import Engine
from .compose import ComposeEngine
from .embedded import EmbeddedEngine
from .workspace import WorkspaceEngine

VARIABLE = "DEV_ENGINE"

ENGINES: dict[str, Callable[[Checkout, Terminal], Engine]] = {
    engine.name: engine for engine in (ComposeEngine, EmbeddedEngine, WorkspaceEngine)
}


def choose(asked: str, checkout: Checkout, terminal: Terminal) -> Engine:
    """The engine that `--engine` asks for, else DEV_ENGINE, else the one that fits this machine.

    Its `reason` says why it is this one. Raises UsageError for a name that is none.
    """
    name = asked or checkout.chosen(VARIABLE) or AUTO
    reason = "--engine says so" if asked else f"{VARIABLE} says so"
    if not asked and WorkspaceEngine(checkout, terminal).runs:
        name = AUTO  # a choice that .env makes for the machine outside
    if name == AUTO:
        name, reason = _fitting(checkout, terminal)
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}", nearest(name, [AUTO, *ENGINES]))
    engine = ENGINES[name](checkout, terminal)
    engine.reason = reason
    return engine


def _fitting(checkout: Checkout, terminal: Terminal) -> tuple[str, str]:
    if WorkspaceEngine(checkout, terminal).runs:
        return WorkspaceEngine.name, "this is its container"
    if EmbeddedEngine(checkout, terminal).runs:
        return EmbeddedEngine.name, "the stack is up on it"
    try:
        problem = docker.silence(checkout)
    except NoAnswer:
        raise  # a daemon that is slow may have the stack up
    except DevError as error:
        problem = error.problems[0]
    if problem:
        return EmbeddedEngine.name, problem.what
    return ComposeEngine.name, "a Docker daemon answers"
