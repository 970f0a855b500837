"""Debuggers are where the declarations, the Compose files and ./dev say that they are."""

from __future__ import annotations

from compose_files import COMBINATIONS, compose_config

from core.env import CONTRACT
from devtools import debuggers

DECLARED = {variable.name: variable for variable in CONTRACT}


def test_debuggers_are_where_the_front_door_expects_them():
    published = compose_config(COMBINATIONS["debug"])["services"]
    for service, (variable, default) in debuggers.PORTS.items():
        assert DECLARED[variable].default == str(default)
        assert published[service]["environment"][debuggers.PORT_VARIABLE] == str(default)
        assert default in [port["target"] for port in published[service]["ports"]]
