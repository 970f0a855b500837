"""Declarations, Compose files and ./dev agree on the ports of the debuggers."""

from __future__ import annotations

from compose_files import COMBINATIONS, compose_config

from core.env import CONTRACT
from devtools import debuggers

DECLARED = {variable.name: variable for variable in CONTRACT}


def test_declarations_compose_files_and_dev_agree_on_debug_ports():
    published = compose_config(COMBINATIONS["debug"])["services"]
    for service, (variable, default) in debuggers.PORTS.items():
        assert DECLARED[variable].default == str(default)
        assert published[service]["environment"][debuggers.PORT_VARIABLE] == str(default)
        assert default in [port["target"] for port in published[service]["ports"]]
