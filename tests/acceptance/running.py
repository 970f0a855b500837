"""The running stack as the checks see it: commands, requests, files, and what they make."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from criteria import Failed
from django_shell import LOOP, DjangoShell
from web_client import Browser, Client

from devtools import environment
from devtools.checkout import Checkout
from devtools.docker.project import PROJECT_LABEL, Project
from devtools.errors import DevError
from devtools.process import Result, capture, stream
from devtools.services import WEB
from devtools.terminal import Terminal

NOTHING: Mapping[str, str] = MappingProxyType({})
PASSWORD = secrets.token_urlsafe(12)
OPERATORS = "public"
STAFF = "verify-staff@example.com"
PAGE = "/admin/login/"  # one that every tenant has
PRODUCTION_FILE = "docker-compose.prod.yml"

# What a new developer does not have either.
_BACKEND = "backend"

_REPORT = ("-v", "-rfEs", "--color=no")
# How the reason of a skipped test begins that can be shown on the other engine only.
_ELSEWHERE = ": not applicable: "


class Stack:
    """A checkout whose stack runs on an engine. As a context: what checks made goes at its end."""

    def __init__(
        self, checkout: Checkout, engine: str, tell: Callable[[str], None] = lambda line: None
    ) -> None:
        self.checkout = checkout
        self.engine = engine
        self.compose = engine == "compose"
        self.tell = tell
        self._made = contextlib.ExitStack()
        self._served_first = ""

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *failure: object) -> None:
        self._made.close()

    def at_end(self, undo: Callable[..., object], *arguments: Any) -> None:
        """Have `undo` called with `arguments` when the run ends, however it ends."""
        self._made.callback(undo, *arguments)

    # Commands

    def dev(
        self, *arguments: str, timeout: float = 300, variables: Mapping[str, str] = NOTHING
    ) -> Result:
        """Run `./dev ARGUMENTS` on this stack's engine, however it ends."""
        return capture(
            [*self._front, *arguments],
            directory=self.checkout.root,
            environment={**self.checkout.variables, **variables},
            timeout=timeout,
        )

    def must(self, *arguments: str, timeout: float = 300) -> str:
        """Run `./dev ARGUMENTS`; return what it printed. Raises Failed if it fails."""
        done = self.dev(*arguments, timeout=timeout)
        if not done.ok:
            shown = " ".join(("./dev", *arguments[:2]))
            raise Failed(f"`{shown}` ended with {done.status}: {done.last_words}", shown)
        return done.output

    def sql(self, query: str) -> str:
        """What `query` gives as superuser: rows by line, columns by |."""
        return self.must("psql", "-AtX", "-c", query).strip()

    def shell(self, code: str, tenant: str = "") -> str:
        """What `code` prints last in Django's shell, with web's rights and settings."""
        return _last(self._django.ask(code, tenant, timeout=300))

    @cached_property
    def _django(self) -> DjangoShell:
        command = (*self._front, "shell", "--verbosity=0", "-c", LOOP)
        shell = DjangoShell(command, self.checkout.root, self.checkout.variables)
        self.at_end(shell.close)
        return shell

    @property
    def _front(self) -> tuple[str, ...]:
        return (sys.executable, str(self.checkout.root / "dev"), "--engine", self.engine)

    def inside(self, script: str) -> Result:
        """Run a shell script in `backend`, with the Python and the packages that web has."""
        if self.compose:
            return self.docker("compose", "exec", "-T", WEB, "sh", "-c", script)
        return capture(
            ["sh", "-c", script],
            directory=self.checkout.root / _BACKEND,
            environment=environment.activated(self.checkout),
            timeout=120,
        )

    def docker(self, *arguments: str, timeout: float = 300) -> Result:
        """Run `docker ARGUMENTS` with the variables of this stack's project."""
        return capture(
            ["docker", *arguments],
            directory=self.checkout.root,
            environment=Project(self.checkout).environment,
            timeout=timeout,
        )

    def docker_must(self, *arguments: str, timeout: float = 300) -> str:
        """What `docker ARGUMENTS` prints. Raises Failed if it fails."""
        done = self.docker(*arguments, timeout=timeout)
        if not done.ok:
            raise Failed(f"`docker {' '.join(arguments[:3])}` failed: {done.last_words}")
        return done.output.strip()

    def tests(self, *arguments: str) -> str:
        """Run tests of the workspace, by file, with their lines as progress; return the count.

        Raises Failed if a file is missing, one fails, or none ran.
        """
        for name in (one for one in arguments if one.endswith(".py")):
            if not (self.checkout.root / name).exists():
                raise Failed(f"{name} is missing")
        return self._pytest(
            [str(self.python), "-m", "pytest", *_REPORT, *arguments],
            f".venv/bin/python -m pytest {' '.join(arguments)}",
        )

    def backend_tests(self, *arguments: str) -> str:
        """Run backend tests by `./dev test`; as `tests`."""
        shown = " ".join(("./dev test", *arguments))
        return self._pytest([*self._front, "test", *_REPORT, *arguments], shown)

    def _pytest(self, command: list[str], shown: str) -> str:
        last, unseen, failed = "", [], []

        def hear(line: str) -> None:
            nonlocal last
            if line.startswith(("FAILED ", "ERROR ")):
                failed.append(line)
            if line.startswith("SKIPPED [") and _ELSEWHERE not in line:
                unseen.append(line)
            last = line if re.search(r"\d+ (passed|failed|error|skipped)", line) else last
            self.tell(line)

        variables = {**self.checkout.variables, "COLUMNS": "120"}
        status = stream(command, hear, directory=self.checkout.root, environment=variables)
        counted = re.search(r"(\d+) passed", last)
        if status or not counted:
            said = last.strip("= ") or "no test ran"
            raise Failed("\n".join((f"`{shown}` ended with {status}: {said}", *failed[:5])), shown)
        if unseen:
            raise Failed(f"`{shown}`, so not all was shown: {'; '.join(unseen)}", f"{shown} -rs")
        skipped = re.search(r"\d+ skipped", last)
        elsewhere = f", {skipped.group()} as not applicable here" if skipped else ""
        return f"{counted.group()}{elsewhere}: {shown}"

    # What runs

    def must_be_up(self) -> None:
        """Raise DevError if the stack is not up."""
        if "web" not in self.addresses:
            raise DevError("the stack is not up", "start it: ./dev up")

    def status(self) -> dict[str, Any]:
        """What `./dev status --json` says now."""
        return json.loads(self.dev("status", "--json").output)

    def services(self, *names: str) -> list[dict[str, Any]]:
        """What status says of services. Raises Failed if there is none of a name."""
        found = {one["name"]: one for one in self.status()["services"]}
        missing = [name for name in names if name not in found]
        if missing:
            raise Failed(f"there is no service {', '.join(missing)}", "./dev status")
        return [found[name] for name in names]

    def service(self, name: str) -> dict[str, Any]:
        """As `services`, of one."""
        return self.services(name)[0]

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """Where things are, by name."""
        return self.status()["addresses"]

    def port(self, service: str) -> int:
        """The port of a service on this machine."""
        if service not in self.addresses:
            raise Failed(f"{service} has no address", "./dev status")
        return urlsplit(self.addresses[service]).port or 0

    def log(self, service: str) -> list[str]:
        """The lines that a service has written."""
        lines = self.must("logs", service).splitlines()
        return [line.split("| ", 1)[-1] for line in lines if "|" in line]

    def events(self, service: str) -> dict[str, dict[str, Any]]:
        """The last log entry of each event of a service."""
        entries = filter(None, map(_entry, self.log(service)))
        return {str(entry.get("event")): entry for entry in entries}

    def serve(self, server: str) -> None:
        """Have `server` serve from now on; at the end of the run the one that did at first."""
        before = self.status()["server"]
        if before == server:
            return
        self.must("serve", server)
        if not self._served_first:
            self._served_first = before
            self.at_end(self.dev, "serve", before or server)

    def api(self, tenant: str = "", **headers: str) -> Client:
        """A client of a tenant; of the default one without a name."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(self.port("web"), tenant, given)

    # Files

    @cached_property
    def python(self) -> Path:
        """The Python of .venv, with PyYAML, psycopg and pytest."""
        return environment.ensure(self.checkout, Terminal(out=sys.stderr))

    def text(self, path: str) -> str:
        """A file of the checkout. Raises Failed if it is missing."""
        try:
            return (self.checkout.root / path).read_text(encoding="utf-8")
        except OSError as error:
            raise Failed(f"{path} cannot be read: {error.strerror}") from None

    def yaml(self, path: str) -> Any:
        """A YAML file of the checkout. Raises Failed if it is missing or faulty."""
        return self._parsed(path, "yaml", "safe_load")

    def json(self, path: str) -> Any:
        """A JSON file of the checkout, with comments. Raises Failed if it is missing or faulty."""
        return self._parsed(path, "json5", "load")

    def _parsed(self, path: str, module: str, function: str) -> Any:
        """What a library that ./dev itself does not have makes of a file."""
        self.text(path)
        read = (
            f"import json, sys, {module}; "
            f"json.dump({module}.{function}(open(sys.argv[1])), sys.stdout)"
        )
        done = capture(
            [str(self.python), "-c", read, path],
            directory=self.checkout.root,
            environment=self.checkout.variables,
        )
        if not done.ok:
            raise Failed(f"{path} is faulty: {done.last_words}")
        return json.loads(done.output)

    @contextlib.contextmanager
    def appended(self, path: str, text: str) -> Iterator[None]:
        """Add `text` to a file for a while; afterwards it is as it was."""
        file = self.checkout.root / path
        before = file.read_bytes()
        try:
            file.write_bytes(before + text.encode())
            yield
        finally:
            file.write_bytes(before)

    @cached_property
    def single(self) -> str:
        """The name of the only tenant; empty in a product with several."""
        return self.shell("from django.conf import settings; print(settings.SINGLE_TENANT or '')")

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants of a new database."""
        return (self.single,) if self.single else ("test1", "test2")

    # What checks make

    @cached_property
    def tenant(self) -> Tenant:
        """A tenant for the checks, with a superuser; dropped at the end.

        In a product with a single tenant it is that one; its superuser is deleted at the end.
        """
        if self.single:
            email = f"verify-{secrets.token_hex(4)}@example.com"
            self.shell(_superuser(email), self.single)
            gone = f"from users.models import User; User.objects.filter(email={email!r}).delete()"
            self.at_end(self.shell, gone, self.single)
            return Tenant(self, self.single, email)
        name = f"verify_{secrets.token_hex(4)}"
        self.must("manage", "create_tenant", name, "--name", "Verify")
        self.at_end(self.dev, "manage", "drop_tenant", name, "--yes", "--no-export")
        self.shell(_superuser(STAFF), name)
        return Tenant(self, name, STAFF)

    @contextlib.contextmanager
    def operator(self) -> Iterator[Browser]:
        """Somebody logged in to the operators' admin, with an account for that time."""
        email = f"verify-{secrets.token_hex(4)}@example.com"
        self.shell(_superuser(email), OPERATORS)
        try:
            yield log_in(Browser(self.port("web"), OPERATORS), email)
        finally:
            # By SQL: Django would look for what such an account has in tables of tenants.
            self.sql(f"DELETE FROM public.users_user WHERE email = '{email}'")

    @cached_property
    def production_image(self) -> str:
        """The name of the production image, built from this checkout; untagged at the end."""
        name = "homeport-verify:production"
        self.tell("building the production image")
        self.docker_must(
            # The label has `./dev clean` delete it if this ends too early to do so.
            *("build", "--label", f"{PROJECT_LABEL}={Project(self.checkout).name}"),
            *("--file", "backend/Dockerfile", "--target", "production", "--tag", name, "."),
            timeout=1800,
        )
        self.at_end(self.docker, "rmi", name)
        return name

    @cached_property
    def fresh(self) -> Fresh:
        """A stack brought up from nothing, in a copy of the checkout; deleted at the end."""
        directory = Path(tempfile.mkdtemp(prefix="homeport-verify-"))
        self.at_end(shutil.rmtree, directory, True)
        directory.chmod(0o755)  # the user in the containers is another
        fresh = Fresh.copy_of(self, directory / "checkout")
        self.at_end(fresh.dev, "clean", "--yes")
        self.tell("bringing a fresh copy up")
        fresh.bring_up()
        return fresh


def production_services(stack: Stack) -> dict:
    """The services of the production file as Compose reads them. Raises Failed."""
    names = re.findall(r"\$\{([A-Z_]+)(?:\}|:?\?)", stack.text(PRODUCTION_FILE))
    given = [f"{name}=verify" for name in sorted(set(names))]
    done = capture(
        [
            *("env", *given, "docker", "compose", "--env-file", "/dev/null"),
            *("-f", PRODUCTION_FILE, "config", "--format", "json"),
        ],
        directory=stack.checkout.root,
        environment=stack.checkout.variables,
    )
    if not done.ok:
        raise Failed(f"{PRODUCTION_FILE}: {done.last_words}")
    return json.loads(done.output)["services"]


class Tenant:
    """A tenant that the checks may log in to; `email` is that of its superuser."""

    def __init__(self, stack: Stack, name: str, email: str) -> None:
        self.stack = stack
        self.name = name
        self.email = email
        self.port = stack.port("web")

    @cached_property
    def staff(self) -> Browser:
        """A browser that is logged in to the admin."""
        return log_in(Browser(self.port, self.name), self.email)


class Fresh(Stack):
    """A copy of a checkout with a separate project, ports and data."""

    took = 0.0  # seconds from the copy to a stack that is up
    setting = ("WORKER_CONCURRENCY", "1")  # what its .env says

    @classmethod
    def copy_of(cls, stack: Stack, root: Path) -> Fresh:
        moved = {name for name in stack.checkout.variables if name.endswith("_PORT")}
        variables = {k: v for k, v in stack.checkout.variables.items() if k not in moved}
        variables["COMPOSE_PROJECT_NAME"] = f"homeport-verify-{os.getpid()}"
        copy = stack.checkout.copy(root, variables)
        (root / ".env").write_text("=".join(cls.setting) + "\n")
        return cls(copy, stack.engine, stack.tell)

    def bring_up(self) -> None:
        """Start it like a new developer, and record the duration."""
        began = time.monotonic()
        self.must("up", timeout=900)
        self.took = time.monotonic() - began


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


def _last(output: str) -> str:
    return ["", *output.strip().splitlines()][-1].strip()


def _entry(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
