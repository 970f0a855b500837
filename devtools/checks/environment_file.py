"""Can `.env` be read?"""

from __future__ import annotations

from ..checkout import Checkout
from ..errors import Problem


def problems(checkout: Checkout) -> list[Problem]:
    """Every fault of `.env`, by line."""
    return checkout.dotenv.problems
