"""The running stack as the criteria see it: on either engine, with one tenant or several."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from running_stack import Failed, Stack
from web_client import Browser

from devtools import environment
from devtools.checkout import Checkout
from devtools.process import stream

PASSWORD = secrets.token_urlsafe(12)
OPERATORS = "public"
STAFF = "verify-staff@example.com"
PAGE = "/admin/login/"  # one that every tenant has
PRODUCTION_FILE = "docker-compose.prod.yml"
SETTING = ("WORKER_CONCURRENCY", "1")  # in the .env of the fresh stack

_REPORT = ("-v", "-rfEs", "--color=no")
# How the reason of a skipped test begins that can be shown on the other engine only.
_ELSEWHERE = ": not applicable: "


class ProductStack(Stack):
    """A product's stack on either engine, and what the criteria ask it."""

    tell: Callable[[str], None] = staticmethod(lambda line: None)
    took = 0.0  # seconds from nothing to a stack that is up

    @property
    def in_docker(self) -> bool:
        return self.engine == "compose"

    def in_backend(self, script: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a shell script in `backend`, with the Python and the packages that web has."""
        if self.in_docker:
            return self.compose("exec", "-T", "web", "sh", "-c", script, **options)
        activated = environment.activated(Checkout(self.checkout, self.environment()))
        return self.run("sh", "-c", f"cd backend && {script}", **{**activated, **options})

    @cached_property
    def single(self) -> str:
        """The name of the only tenant; empty in a product with several."""
        return self.shell("from django.conf import settings; print(settings.SINGLE_TENANT or '')")

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants of a new database."""
        return (self.single,) if self.single else ("test1", "test2")

    def serve(self, server: str) -> None:
        """Have `server` serve from now on."""
        if self.status()["server"] != server:
            self.dev("serve", server)

    def events(self, service: str) -> dict[str, dict[str, Any]]:
        """The last log entry of each event of a service."""
        entries = filter(None, map(_entry, self.log(service)))
        return {str(entry.get("event")): entry for entry in entries}

    def text(self, path: str) -> str:
        """A file of the checkout."""
        return (self.checkout / path).read_text(encoding="utf-8")

    @contextlib.contextmanager
    def appended(self, path: str, text: str) -> Iterator[None]:
        """Add `text` to a file for a while; afterwards it is as it was."""
        file = self.checkout / path
        before = file.read_bytes()
        try:
            file.write_bytes(before + text.encode())
            yield
        finally:
            file.write_bytes(before)

    def tests(self, *arguments: str) -> str:
        """Run tests of the workspace, with their lines as progress; return the count.

        Raises Failed if one fails, or none ran.
        """
        shown = f".venv/bin/python -m pytest {' '.join(arguments)}"
        command = (sys.executable, "-m", "pytest", *_REPORT, *arguments)
        return self._pytest(command, shown, dict(os.environ))

    def backend_tests(self, *arguments: str) -> str:
        """Run backend tests by `./dev test`; as `tests`."""
        shown = " ".join(("./dev test", *arguments))
        return self._pytest(("./dev", "test", *_REPORT, *arguments), shown, self.environment())

    def _pytest(self, command: tuple[str, ...], shown: str, variables: dict[str, str]) -> str:
        last, unseen, failed = "", [], []

        def hear(line: str) -> None:
            nonlocal last
            if line.startswith(("FAILED ", "ERROR")):
                failed.append(line)
            if line.startswith("SKIPPED [") and _ELSEWHERE not in line:
                unseen.append(line)
            last = line if re.search(r"\d+ (passed|failed|error|skipped)", line) else last
            self.tell(line)

        variables = {**variables, "COLUMNS": "120"}
        status = stream(command, hear, directory=self.checkout, environment=variables)
        counted = re.search(r"(\d+) passed", last)
        if status or not counted:
            said = last.strip("= ") or "no test ran"
            raise Failed("\n".join((f"`{shown}` ended with {status}: {said}", *failed[:5])), shown)
        if unseen:
            raise Failed(f"`{shown}`, so not all was shown: {'; '.join(unseen)}", f"{shown} -rs")
        skipped = re.search(r"\d+ skipped", last)
        elsewhere = f", {skipped.group()} as not applicable here" if skipped else ""
        return f"{counted.group()}{elsewhere}: {shown}"


class Tenant:
    """A tenant that the checks may log in to; `email` is that of its superuser."""

    def __init__(self, stack: Stack, name: str, email: str) -> None:
        self.name = name
        self.email = email
        self.port = stack.port("web")

    @cached_property
    def staff(self) -> Browser:
        """A browser that is logged in to the admin."""
        return log_in(Browser(self.port, self.name), self.email)


@contextlib.contextmanager
def tenant_of(stack: ProductStack) -> Iterator[Tenant]:
    """A tenant for the checks, with a superuser; dropped at the end.

    In a product with a single tenant it is that one; its superuser is deleted at the end.
    """
    if stack.single:
        email = f"verify-{secrets.token_hex(4)}@example.com"
        stack.shell(_superuser(email), stack.single)
        yield Tenant(stack, stack.single, email)
        gone = f"from users.models import User; User.objects.filter(email={email!r}).delete()"
        stack.shell(gone, stack.single)
        return
    name = f"verify_{secrets.token_hex(4)}"
    stack.dev("manage", "create_tenant", name, "--name", "Verify")
    try:
        stack.shell(_superuser(STAFF), name)
        yield Tenant(stack, name, STAFF)
    finally:
        stack.dev("manage", "drop_tenant", name, "--yes", "--no-export", check=False)


@contextlib.contextmanager
def operator(stack: ProductStack) -> Iterator[Browser]:
    """Somebody logged in to the operators' admin, with an account for that time."""
    email = f"verify-{secrets.token_hex(4)}@example.com"
    stack.shell(_superuser(email), OPERATORS)
    try:
        yield log_in(Browser(stack.port("web"), OPERATORS), email)
    finally:
        # By SQL: Django would look for what such an account has in tables of tenants.
        stack.sql(f"DELETE FROM public.users_user WHERE email = '{email}'")


def production_services(stack: Stack) -> dict:
    """The services of the production file as Compose reads them."""
    text = (stack.checkout / PRODUCTION_FILE).read_text()
    given = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)(?:\}|:?\?)", text), "verify")
    read = ("--env-file", "/dev/null", "-f", PRODUCTION_FILE, "config", "--format", "json")
    return json.loads(stack.run("docker", "compose", *read, **given).stdout)["services"]


def log_in(browser: Browser, email: str) -> Browser:
    """`browser`, logged in to the admin. Raises Failed if it is refused."""
    answer = browser.submit("/admin/login/?next=/admin/", username=email, password=PASSWORD)
    if answer.status != 302:
        raise Failed(f"the admin refused a superuser's log-in with {answer.status}")
    return browser


def _superuser(email: str) -> str:
    return (
        "from users.models import User\n"
        f"User.objects.create_superuser({email!r}, password={PASSWORD!r})\n"
    )


def _entry(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
