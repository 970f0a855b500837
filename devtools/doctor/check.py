"""How a check is declared.

    @check
    def image(context: Context) -> Result: ...

    @image.fixed_by
    def _build(context: Context, confirm: Confirm) -> list[str]: ...

The name of the function is the name of the check. A fix must not lose data: it calls `confirm`
before it deletes anything. It returns one line for each fix that it applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from .context import Context
from .result import Result

# Asks the user whether to do what the text says.
Confirm = Callable[[str], bool]
_Fix = Callable[[Context, Confirm], "list[str]"]


@dataclass
class Check:
    """A check by name."""

    name: str
    examine: Callable[[Context], Result]
    fix: _Fix | None = None

    def fixed_by(self, fix: _Fix) -> _Fix:
        self.fix = fix
        return fix


def check(examine: Callable[[Context], Result]) -> Check:
    """Declare a check; its context raises NotApplicable for what is not available here."""
    return Check(examine.__name__.replace("_", "-"), examine)
