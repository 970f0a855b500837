"""Changing a secret of the production stack while it serves.

Web and worker are rolled, so that a secret is valid in all of them before the first one uses it.
Each step can be repeated: after an interruption, the same command finishes the change.
"""

from __future__ import annotations

import re
import secrets
import tempfile
from typing import Callable

from .. import dotenv
from ..errors import DevError
from ..terminal import Terminal
from . import rollout
from .secret_values import KEY_BYTES, PASSWORD_BYTES
from .stack import ProductionStack

KEY, KEYS_ACCEPTED = "SECRET_KEY", "SECRET_KEY_FALLBACKS"
APP, APP_OTHER = "APP_PASSWORD", "APP_PASSWORD_FALLBACK"
OWNER, SUPERUSER, REDIS = "APP_OWNER_PASSWORD", "POSTGRES_PASSWORD", "REDIS_PASSWORD"
# Of old keys. Two, so that a change that was interrupted and begun again loses none.
_KEPT = 2
_PLAIN = re.compile(r"[\w.~+/=:@%-]*\Z")


def rotate(stack: ProductionStack, name: str, terminal: Terminal) -> None:
    """Change the secret `name`, one of SECRETS, to a new random value.

    Raises:
        DevError: on failure. The stack serves with the values that it had.
    """
    rollout.refuse_if_not_possible(stack)
    SECRETS[name](stack, EnvironmentFile(stack), terminal)


def forget(stack: ProductionStack, terminal: Terminal) -> None:
    """Accept nothing more that an earlier SECRET_KEY has signed. Raises DevError on failure."""
    rollout.refuse_if_not_possible(stack)
    EnvironmentFile(stack).write({KEYS_ACCEPTED: ""})
    rollout.roll(stack, terminal)


class EnvironmentFile:
    """The stack's environment file, whose other lines stay as they are."""

    def __init__(self, stack: ProductionStack) -> None:
        self._checkout = stack.checkout
        self.path = (stack.checkout.root / stack.environment_file).resolve()

    def read(self, name: str, *, required: bool = True) -> str:
        """The value of a variable. Raises DevError if it is required, and not in this file."""
        if name in self._checkout.variables:
            raise DevError(
                f"{name} is set in this shell, and hides the value in {self.path.name}",
                f"unset {name}",
            )
        value = dotenv.load(self.path, lambda _: None).values.get(name, "")
        if required and not value:
            raise DevError(f"{name} is not in {self.path.name}", "change it where it is set")
        return value

    def write(self, values: dict[str, str]) -> None:
        """Set variables; an empty value removes one. The file is replaced, or not changed."""
        text = self.path.read_text(encoding="utf-8")
        for name, value in values.items():
            old = dotenv.assignment(name)
            line = f"{name}={_quoted(name, value)}\n" if value else ""
            found = old.search(text)
            rest = old.sub("", text[found.end() :]) if found else ""
            text = text[: found.start()] + line + rest if found else text.rstrip("\n") + f"\n{line}"
        self._checkout.write(self.path, text, mode=self.path.stat().st_mode & 0o777)


def _quoted(name: str, value: str) -> str:
    if _PLAIN.match(value):
        return value
    if "'" in value or "\\" in value:
        raise DevError(
            f"{name} cannot be written: a value of now has a quote or a backslash",
            "docs/production.md#changing-a-secret",
        )
    return f"'{value}'"


def _rotate_key(stack: ProductionStack, file: EnvironmentFile, terminal: Terminal) -> None:
    old, new = file.read(KEY), secrets.token_urlsafe(KEY_BYTES)
    earlier = [key for key in file.read(KEYS_ACCEPTED, required=False).split(",") if key]
    terminal.say("1 of 2: every process accepts the new key")
    file.write({KEYS_ACCEPTED: ",".join([new, *earlier])})
    rollout.roll(stack, terminal)
    terminal.say("2 of 2: every process signs with it, and accepts the old one")
    file.write({KEY: new, KEYS_ACCEPTED: ",".join([old, *earlier][:_KEPT])})
    rollout.roll(stack, terminal)


def _rotate_app(stack: ProductionStack, file: EnvironmentFile, terminal: Terminal) -> None:
    file.read(APP)
    # Of an interrupted change, the database may have its new password already.
    new = file.read(APP_OTHER, required=False) or secrets.token_urlsafe(PASSWORD_BYTES)
    terminal.say("1 of 2: every process tries both passwords")
    file.write({APP_OTHER: new})
    rollout.roll(stack, terminal)
    _change(stack, "db", "app", new)
    terminal.say("2 of 2: the database has the new one; every process has only that")
    file.write({APP: new, APP_OTHER: ""})
    with rollout.replaced_pool(stack, terminal):
        rollout.roll(stack, terminal)


def _rotate_role(variable: str, role: str) -> Rotation:
    """For a role that no process stays logged in as."""

    def rotation(stack: ProductionStack, file: EnvironmentFile, terminal: Terminal) -> None:
        file.read(variable)
        new = secrets.token_urlsafe(PASSWORD_BYTES)
        with terminal.step(f"the password of {role}"):
            _change(stack, "db", role, new)
            file.write({variable: new})

    return rotation


def _rotate_redis(stack: ProductionStack, file: EnvironmentFile, terminal: Terminal) -> None:
    old, new = file.read(REDIS), secrets.token_urlsafe(PASSWORD_BYTES)
    with terminal.step("Redis accepts both passwords"):
        _change(stack, "redis", "add", old, new)
    file.write({REDIS: new})
    rollout.roll(stack, terminal)
    with terminal.step("Redis accepts only the new one"):
        _change(stack, "redis", "only", new, new)


def _change(stack: ProductionStack, service: str, argument: str, *passwords: str) -> None:
    # Through a file: command lines are visible to everyone on the machine.
    with tempfile.TemporaryFile() as lines:
        lines.write("".join(f"{password}\n" for password in passwords).encode())
        lines.seek(0)
        stack.compose("exec", "-T", service, "/scripts/change-password", argument, given=lines)


Rotation = Callable[[ProductionStack, EnvironmentFile, Terminal], None]
SECRETS: dict[str, Rotation] = {
    KEY: _rotate_key,
    APP: _rotate_app,
    OWNER: _rotate_role(OWNER, "app_owner"),
    SUPERUSER: _rotate_role(SUPERUSER, "postgres"),
    REDIS: _rotate_redis,
}
