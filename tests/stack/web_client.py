"""A client of web: by HTTP, by tenant, with a token, or with cookies and forms."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from ssl import SSLContext
from typing import Any
from urllib.parse import urlencode

from devtools.ports import LOOPBACK


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `took` in milliseconds."""

    status: int
    headers: Message  # of names in any case
    body: bytes
    took: float = 0

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def cookies(self) -> dict[str, str]:
        lines = self.headers.get_all("Set-Cookie") or []
        pairs = (line.split(";")[0].partition("=") for line in lines)
        return {name: value for name, _, value in pairs}

    def json(self) -> Any:
        """The body. Raises ValueError if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise ValueError(f"answered {self.status} with no JSON: {self.text[:80]!r}") from None

    def must_be(self, *statuses: int) -> Answer:
        """This answer. Raises AssertionError if its status is none of `statuses`."""
        if self.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            raise AssertionError(f"answered {self.status}, not {wanted}: {self.text[:120]}")
        return self


def ask(
    port: int,
    method: str,
    path: str,
    *,
    host: str,
    headers: Mapping[str, str],
    body: bytes | str | None = None,
    timeout: float = 20,
    tls: SSLContext | None = None,
) -> Answer:
    """Ask the server on `port` of this machine. Raises OSError if nothing answers."""
    began = time.monotonic()
    connection = (
        http.client.HTTPSConnection(LOOPBACK, port, timeout=timeout, context=tls)
        if tls
        else http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    )
    try:
        connection.request(method, path, body=body, headers={"Host": host, **headers})
        answer = connection.getresponse()
        content = answer.read()
    except TimeoutError as error:
        raise TimeoutError(f"{method} {path}: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"{method} {path}: {error}") from error
    finally:
        connection.close()
    took = (time.monotonic() - began) * 1000
    return Answer(answer.status, answer.headers, content, took)


class Client:
    """A client of one tenant's API; `token` is sent once it is set."""

    def __init__(self, port: int, tenant: str = "", headers: Mapping[str, str] = {}) -> None:
        name = f"{tenant.replace('_', '-')}.localhost" if tenant else "localhost"
        self.port = port
        self.host = f"{name}:{port}"
        self.token = ""
        self._headers = dict(headers)

    def get(self, path: str, timeout: float = 20, **headers: str) -> Answer:
        return self.send("GET", path, None, timeout, **headers)

    def send(
        self, method: str, path: str, data: Any, timeout: float = 20, **headers: str
    ) -> Answer:
        """Send `data` as JSON; names of headers are written with _ for -."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {**self._headers, **given}
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        body = None
        if data is not None:
            body = json.dumps(data).encode()
            given["Content-Type"] = "application/json"
        host = given.pop("Host", self.host)
        return ask(self.port, method, path, host=host, headers=given, body=body, timeout=timeout)


class Browser:
    """Somebody at a tenant's pages: keeps cookies, sends forms."""

    def __init__(self, port: int, tenant: str) -> None:
        self.port = port
        self.host = f"{tenant.replace('_', '-')}.localhost:{port}"
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None)

    def submit(self, path: str, **fields: str) -> Answer:
        """Load the form at `path` and send it with `fields`."""
        page = self.get(path).must_be(200).text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        if not token:
            raise AssertionError(f"no form at {path}")
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        form = {**hidden, **fields, "csrfmiddlewaretoken": token.group(1)}
        return self._ask("POST", path, urlencode(form).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = {"Accept": "text/html"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"http://{self.host}"
        answer = ask(self.port, method, path, host=self.host, headers=headers, body=body)
        self.cookies.update(answer.cookies)
        return answer
