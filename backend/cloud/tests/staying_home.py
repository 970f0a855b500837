"""Tests connect only to this machine and to the services that the environment names."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

SERVICES = (
    "TEST_DATABASE_POOL",
    "DATABASE_URL",
    "REDIS_URL",
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
)


class LeftTheMachine(BaseException):
    """A test was about to talk to the world. No `except Exception` hides it."""


def stay_home(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse every connection and look-up of this process that leads away, until it ends.

    Allowed are loopback, Unix sockets, and the services that the environment names, if their
    addresses are private: in Compose db, redis and the emulators.

    An audit hook, because it sees every socket, and cannot be removed.
    https://docs.python.org/3/library/audit_events.html
    """
    services = {host: _private_addresses(host) for host in _hosts(environment)}
    home = {"", "localhost", *(name for name, addresses in services.items() if addresses)}
    home |= {address for addresses in services.values() for address in addresses}

    def is_home(host: str) -> bool:
        return host in home or _is_loopback(host)

    def watch(event: str, arguments: tuple) -> None:
        if event in ("socket.connect", "socket.sendto"):
            target = arguments[1]
            if isinstance(target, tuple) and not is_home(str(target[0])):
                raise LeftTheMachine(f"{event} to {target[0]}:{target[1]} from a test")
        elif event == "socket.getaddrinfo" and arguments[0] is not None:
            host = arguments[0]
            host = host.decode() if isinstance(host, bytes) else str(host)
            if not is_home(host):
                raise LeftTheMachine(f"look-up of {host} from a test")

    sys.addaudithook(watch)


def _hosts(environment: Mapping[str, str]) -> set[str]:
    named = [
        value
        for name, value in environment.items()
        if name in SERVICES or name.startswith("AWS_ENDPOINT_URL")
    ]
    return {host for host in (urlsplit(value).hostname for value in named) if host}


def _private_addresses(name: str) -> set[str]:
    """Return where a host is, or nothing if that is out in the world or a metadata service."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
    except OSError:
        return set()
    parsed = map(ipaddress.ip_address, found)
    return found if all(one.is_private and not one.is_link_local for one in parsed) else set()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
