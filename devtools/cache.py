"""Emptying the application's cache with Redis's protocol, without a client library."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from .errors import DevError


def empty(url: str, host: str, port: int) -> None:
    """Delete every key of the database that `url` (REDIS_URL) names, in the server on `host`.

    Raises DevError if that fails.
    """
    database = urlsplit(url).path.strip("/") or "0"
    answer = b""
    try:
        with socket.create_connection((host, port), 5) as link:
            link.sendall(f"SELECT {database}\r\nFLUSHDB\r\nQUIT\r\n".encode())
            while part := link.recv(256):
                answer += part
    except OSError as error:
        raise DevError(f"the cache at {host}:{port} does not answer: {error}") from error
    if answer.split() != [b"+OK"] * 3:
        said = answer.decode(errors="replace").split("\r\n")[0]
        raise DevError(f"the cache at {host}:{port} was not emptied: {said}")
