"""Restarts of any kind: afterwards the stack is healthy and works."""

from __future__ import annotations

import pytest
from emulated_aws import use_aws
from restarts import recovers, restart_machine
from running_stack import Stack

RESTARTS = {
    "the machine": restart_machine,
    "docker compose restart": lambda stack: stack.compose("restart"),
    "./dev restart": lambda stack: stack.dev("restart"),
}


@pytest.mark.parametrize("restart", RESTARTS.values(), ids=list(RESTARTS))
def test_all_services_recover_from_a_restart_of(running: Stack, restart):
    with recovers(running, use=use_aws):
        restart(running)
