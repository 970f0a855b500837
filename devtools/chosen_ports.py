"""The ports that ./dev chose for this checkout because the default ones were taken."""

from __future__ import annotations

from .checkout import Checkout
from .ports import valid

SUBJECT = "ports"


def remembered(checkout: Checkout) -> dict[str, str]:
    """The ports that `--auto-ports` chose for this checkout, by variable, unless overridden."""
    return {
        variable: str(port)
        for variable, port in checkout.recall(SUBJECT).items()
        if valid(str(port)) and not checkout.chosen(variable)
    }
