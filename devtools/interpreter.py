"""A Python with the backend's packages, for scripts that ./dev cannot run itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from .checkout import Checkout
from .process import Result, capture


class Interpreter(ABC):
    """Runs Python in a checkout. Every run raises DevError if it cannot be started."""

    @abstractmethod
    def run(
        self, checkout: Checkout, *arguments: str, directory: str = "", timeout: float = 60
    ) -> Result:
        """Run it in `directory` of the checkout, at most `timeout` seconds; return the result."""


class Local(Interpreter):
    """The Python of this machine, or of this container, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(
        self, checkout: Checkout, *arguments: str, directory: str = "", timeout: float = 60
    ) -> Result:
        return capture(
            [str(self.path), *arguments],
            directory=checkout.root / directory,
            environment={**checkout.variables, "PYTHONDONTWRITEBYTECODE": "1"},
            timeout=timeout,
        )
