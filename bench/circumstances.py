"""In which circumstances a part was measured, in a sentence of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def circumstances(found: Mapping[str, Any]) -> str:
    """When, how often and on which machine the part was measured."""
    machine, load = found["machine"], found["load"]
    docker = f", Docker {machine['docker']}" if machine["docker"] else ""
    memory = f"{machine['memory'] / 1024**3:.0f} GB" if machine["memory"] else "unknown memory"
    return (
        f"{found['at'][:16].replace('T', ' ')} UTC, "
        f"{found['rounds']} rounds in {found['seconds']} s; "
        f"{machine['cores']} cores, {memory}, {machine['system']}, "
        f"Python {machine['python']}{docker}; engine chosen there: {machine['engine']}; "
        f"load average {load['start'][0]:.1f} at the start, {load['end'][0]:.1f} at the end."
    )
