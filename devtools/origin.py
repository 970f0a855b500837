"""What a product records of the workspace that it was made from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

FILE = "devtools/adopted/origin.json"


@dataclass(frozen=True)
class Origin:
    """The repository and the commit of the workspace, and the arguments of `./dev adopt`."""

    source: str
    commit: str
    adopt: Sequence[str]

    def text(self) -> str:
        """As the record has it."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read(root: Path) -> Origin | None:
    """The record in `root`; None if there is none, as before the adoption."""
    try:
        facts = json.loads((root / FILE).read_text(encoding="utf-8"))
        return Origin(facts["source"], facts["commit"], facts["adopt"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def without_credentials(address: str) -> str:
    """An address that may be recorded; empty if it is a folder of this machine."""
    parts = urlsplit(address)
    if parts.scheme and parts.netloc:
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return address if re.match(r"[\w.-]+@[\w.-]+:", address) else ""
