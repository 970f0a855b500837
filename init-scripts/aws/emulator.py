#!/usr/bin/env python3
"""Serve moto, seeded before it answers: Cognito under Compose, all of AWS without Docker.

    emulator.py --host HOST --port PORT [--changes FILE] [accounts] [store]

The arguments are the parts that seed.py seeds; all of them by default. Later changes are kept in
FILE, and made again at the next start.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import moto.core.utils
import seed
from machines import leave_out_machines
from moto.core.loaders import create_loader
from moto.moto_api._internal import mock_random
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from persistence import Persistent
from werkzeug.serving import make_server


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--changes", type=Path, metavar="FILE", help="keep changes in FILE")
    parser.add_argument("parts", nargs="*", metavar="PART")
    options = parser.parse_args()
    read_descriptions_once()
    leave_out_machines()
    application = DomainDispatcherApplication(create_backend_app)
    try:
        fill(application, options.parts or seed.PARTS)
    except seed.NotSeeded:
        return 1
    served: Any = application
    if options.changes:
        served = Persistent(application, options.changes, mock_random.seed)
        served.repeat()
    server = make_server(
        options.host,
        options.port,
        OwnPages(served),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    server.serve_forever()
    return 0


def read_descriptions_once() -> None:
    """Let moto and the clients of the seed share what they read of AWS's services: 30 MB.

    Each would load the same files by itself, and each time that it lists regions once more.
    """
    loader = create_loader()
    botocore.session.create_loader = lambda _path=None: loader
    moto.core.utils.create_loader = lambda: loader


class OwnPages:
    """Rejects requests from pages of other sites, because emulators have no access control.

    Browsers send a page's site in `Origin`. A site whose name resolves to this machine (DNS
    rebinding) is recognized by `Host`. Programs send no `Origin`.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, request: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        named = [request.get("HTTP_ORIGIN", ""), f"//{request.get('HTTP_HOST', '')}"]
        if all(is_own(urlsplit(place).hostname or place) for place in named if place):
            return self._application(request, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"Pages of other sites are refused.\n"]


def is_own(host: str) -> bool:
    """Whether a host is this machine, another container of the stack, or this codespace."""
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    # Every sandboxed page has the origin "null".
    own = "." not in host or host.endswith(".localhost")
    return (own and host != "null") or host in _forwarded(host)


def _forwarded(host: str) -> list[str]:
    """The host of this codespace for the port in a forwarded port's host."""
    found = re.search(r"-(\d+)\.", host)
    return seed.forwarded_hosts(found[1]) if found else []


def fill(application: Any, parts: list[str] | tuple[str, ...]) -> None:
    """Run the seed on `application` through a private port.

    Raises:
        seed.NotSeeded: on failure, which is reported.
    """
    # The demo accounts get the same `sub` at each start, so that the application's accounts stay
    # linked to them; accounts created later get random ones.
    mock_random.seed("homeport")
    with _serving(application) as port:
        for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]:
            del os.environ[name]
        os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
        seed.fill(parts)
    mock_random.seed()


@contextlib.contextmanager
def _serving(application: Any) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(MotoRequestHandler):
    def log(self, *_: Any) -> None:
        """Do not log the seed's requests; the seed reports what it creates."""


if __name__ == "__main__":
    sys.exit(main())
