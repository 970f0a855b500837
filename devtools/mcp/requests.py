"""Requests to the running stack, on this machine only."""

from __future__ import annotations

import contextlib
import json
import re
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from ..errors import DevError
from ..ports import LOOPBACK
from .front_door import FrontDoor

_HEADERS = ("content-type", "location", "x-request-id")
# What Django's text of an error has beside the error: settings, and the request.
_SURROUNDINGS = re.compile(
    r"^Installed Applications:.*?(?=^Template|^Traceback)|^Request information:.*\Z", re.M | re.S
)
_TIMEOUT = 600  # seconds: the request may be paused at a breakpoint


class Requests:
    """Sends requests as a tenant's user; keeps the token that a log-in answers with."""

    def __init__(self, dev: FrontDoor) -> None:
        self._dev = dev
        self._tokens: dict[str, str] = {}

    def send(self, method: str, path: str, tenant: str, body: Any) -> dict[str, Any]:
        """Send one request and return status, some headers and the text of the answer.

        Raises DevError if nothing answers, or there is no such tenant.
        """
        if not path.startswith("/"):
            raise DevError(f"{path!r} is not a path", "e.g. /api/v1/health/")
        host, port = self._address(tenant)
        # Without HTML, Django's page of an error is a text.
        headers = {"Host": host, "Accept": "application/json, text/plain"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if token := self._tokens.get(tenant):
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body)
        with closing(HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT)) as connection:
            try:
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                text = answer.read().decode(errors="replace")
            except (OSError, HTTPException) as error:
                raise DevError(f"web does not answer: {error!r}", "./dev status") from error
        shown = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            text = _SURROUNDINGS.sub("", text)
        found = _parsed(text)
        if isinstance(found, dict) and isinstance(token := found.get("access"), str):
            self._tokens[tenant] = token
        return {"status": answer.status, "headers": shown, "body": found}

    def _address(self, tenant: str) -> tuple[str, int]:
        status = self._dev.answer("status")
        addresses = status["tenants"]
        if tenant and tenant not in addresses:
            raise DevError(f"there is no tenant {tenant!r}", f"one of: {', '.join(addresses)}")
        address = addresses[tenant] if tenant else status["addresses"].get("web", "")
        found = urlsplit(address)
        if not found.hostname:
            raise DevError("web is not up", "./dev up")
        return found.netloc, found.port or 80


def _parsed(text: str) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text
