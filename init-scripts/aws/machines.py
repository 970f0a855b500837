"""Let Parameter Store not load what it has to do with machines: 70 MB, and half a second."""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import SimpleNamespace
from typing import Any


def leave_out_machines() -> None:
    """Load moto's Parameter Store without EC2 and its tables, until something asks for them.

    moto imports it to run commands on machines. Another emulator has no moto.
    """
    if "moto.ec2" in sys.modules:
        return
    sys.modules["moto.ec2"] = SimpleNamespace(ec2_backends=_Machines())  # type: ignore[assignment]
    with contextlib.suppress(ImportError):
        importlib.import_module("moto.ssm.models")
    del sys.modules["moto.ec2"]


class _Machines:
    def __getitem__(self, account: str) -> Any:
        return importlib.import_module("moto.ec2").ec2_backends[account]
