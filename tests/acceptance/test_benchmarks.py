"""The budgets that are a criterion; `bench/` measures them."""

from __future__ import annotations

import re

from criteria import Seen, criterion
from running import ProductStack
from running_stack import Failed

from bench.container import RATIO


@criterion(
    "BP-15",
    "throughput within 10 % of the same server outside a container",
    long=True,
    needs_docker="there is no container here to compare with",
)
def test_throughput(stack: ProductStack, seen: Seen) -> None:
    done = stack.dev("bench", "container", timeout=1800).stdout
    row = next((line for line in done.splitlines() if RATIO in line), "")
    ratio = re.search(r"\s(\d+\.\d+)(?:\s|$)", row)
    if not ratio:
        raise Failed("./dev bench container compares nothing on this machine")
    if float(ratio.group(1)) < 0.9:
        raise Failed(f"{ratio.group(1)} of the throughput outside", "./dev bench container")
    seen(f"{ratio.group(1)} of the throughput outside a container (median of the rounds)")
