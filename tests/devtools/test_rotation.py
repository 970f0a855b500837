"""`./dev rotate` writes the stack's environment file so that it can be interrupted anywhere."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from devtools import dotenv
from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.production import rollout, rotation
from devtools.production.stack import ProductionStack
from devtools.terminal import Terminal

BEFORE = """\
# A comment.
SECRET_KEY=the-old-key
APP_PASSWORD='the "old" $one'
APP_OWNER_PASSWORD=old

REDIS_PASSWORD=first
REDIS_PASSWORD=second
EMAIL_URL=
"""


class FakeStack(ProductionStack):
    """A stack of which the commands are recorded: the file's values at each roll, and passwords."""

    def __init__(self, root, **variables) -> None:
        super().__init__(Checkout(root, variables))
        self.path = root / self.environment_file
        self.path.write_text(BEFORE)
        self.path.chmod(0o600)
        self.done = []
        self.fails_at = 0
        self.configuration = {"services": {}}

    def values(self):
        return dotenv.load(self.path, lambda _: None).values

    def record(self, what):
        self.done.append(what)
        if len(self.done) == self.fails_at:
            raise DevError("no")

    def compose(self, *arguments, given=None, **options):
        self.record((*arguments[2:], *given.read().decode().splitlines()))
        return SimpleNamespace(output="")


@pytest.fixture
def stack(tmp_path, monkeypatch):
    made = FakeStack(tmp_path)
    monkeypatch.setattr(rollout, "refuse_if_not_possible", lambda stack: {})
    monkeypatch.setattr(rollout, "roll", lambda stack, terminal: stack.record(stack.values()))
    return made


def rotate(stack, name):
    rotation.rotate(stack, name, Terminal(out=io.StringIO()))


def test_a_key_is_accepted_everywhere_before_one_process_signs_with_it(stack):
    rotate(stack, "SECRET_KEY")
    accepted, signing = stack.done
    assert accepted["SECRET_KEY"] == "the-old-key"
    assert signing["SECRET_KEY"] == accepted["SECRET_KEY_FALLBACKS"] != "the-old-key"
    assert signing["SECRET_KEY_FALLBACKS"] == "the-old-key"

    for _ in range(3):
        newest = stack.values()["SECRET_KEY"]
        rotate(stack, "SECRET_KEY")
        assert stack.values()["SECRET_KEY_FALLBACKS"].split(",")[0] == newest
    assert len(stack.values()["SECRET_KEY_FALLBACKS"].split(",")) == 2
    rotation.forget(stack, Terminal(out=io.StringIO()))
    assert "SECRET_KEY_FALLBACKS" not in stack.done[-1]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_key_that_a_process_may_have_signed_with_stays_accepted(stack, fails_at):
    stack.fails_at = fails_at
    with pytest.raises(DevError):
        rotate(stack, "SECRET_KEY")
    signed = {"the-old-key", stack.values()["SECRET_KEY"]}
    rotate(stack, "SECRET_KEY")
    for values in stack.done[fails_at:]:
        accepted = {values["SECRET_KEY"], *values["SECRET_KEY_FALLBACKS"].split(",")}
        assert signed <= accepted


def test_a_database_password_is_changed_between_two_rolls(stack):
    rotate(stack, "APP_PASSWORD")
    both, change, only = stack.done
    new = both["APP_PASSWORD_FALLBACK"]
    assert both["APP_PASSWORD"] == 'the "old" $one'
    assert change == ("db", "/scripts/change-password", "app", new)
    assert only["APP_PASSWORD"] == new
    assert "APP_PASSWORD_FALLBACK" not in only


def test_a_pool_with_the_new_password_is_there_before_processes_have_only_that(stack, monkeypatch):
    stack.configuration = {"services": {"pool": {}}}
    monkeypatch.setattr(stack, "containers", lambda service: [f"old {service}"])
    for name in ("_add", "_remove"):
        monkeypatch.setattr(rollout, name, lambda stack, *of, name=name: stack.record((name, *of)))
    rotate(stack, "APP_PASSWORD")
    _both, _change, add, only, remove = stack.done
    assert add == ("_add", {"pool": ["old pool"]})
    assert "APP_PASSWORD_FALLBACK" not in only
    assert remove == ("_remove", "pool", ["old pool"])


@pytest.mark.parametrize("fails_at", [1, 2])
def test_an_interrupted_change_goes_on_with_the_same_password(stack, fails_at):
    """The database may have it already."""
    stack.fails_at = fails_at
    with pytest.raises(DevError):
        rotate(stack, "APP_PASSWORD")
    new = stack.values()["APP_PASSWORD_FALLBACK"]
    rotate(stack, "APP_PASSWORD")
    assert stack.values()["APP_PASSWORD"] == new


def test_redis_has_both_passwords_while_web_and_worker_are_rolled(stack):
    rotate(stack, "REDIS_PASSWORD")
    add, roll, only = stack.done
    new = roll["REDIS_PASSWORD"]
    assert add == ("redis", "/scripts/change-password", "add", "second", new)
    assert only == ("redis", "/scripts/change-password", "only", new, new)


def test_other_lines_and_the_rights_of_the_file_stay(stack):
    rotate(stack, "REDIS_PASSWORD")
    new = stack.values()["REDIS_PASSWORD"]
    twice = "REDIS_PASSWORD=first\nREDIS_PASSWORD=second"
    assert stack.path.read_text() == BEFORE.replace(twice, f"REDIS_PASSWORD={new}")
    assert stack.path.stat().st_mode & 0o777 == 0o600
    files = [path for path in stack.path.parent.iterdir() if path.is_file()]
    assert files == [stack.path]


def test_a_value_that_the_file_does_not_decide_is_refused(stack, tmp_path):
    with pytest.raises(DevError, match="POSTGRES_PASSWORD is not in"):
        rotate(stack, "POSTGRES_PASSWORD")
    with pytest.raises(DevError, match="REDIS_PASSWORD is set in this shell"):
        rotate(FakeStack(tmp_path, REDIS_PASSWORD="x"), "REDIS_PASSWORD")
    assert not stack.done
