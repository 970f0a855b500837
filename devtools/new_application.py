"""Makes an application of the product: `./dev startapp`.

It is a copy of an example that the tests run, under other names, so it follows the conventions of
the backend without a second description of them.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from pathlib import Path

from . import names, pins
from .errors import DevError, Problem

EXAMPLE = "backend/development/notes"
SETTINGS = "backend/core/settings/base.py"
IMPORTS = "backend/pyproject.toml"
MAX_NAME = 20  # lines of the copy stay short enough

_NAMES = re.compile(r"(?:development\.)?notes|Notes|Note|note")
_END_OF_LIST = r"^PRODUCT_APPS.*= \[\n(?:    .*\n)*"
_END_OF_SCHEDULES = r"^CELERY_BEAT_SCHEDULE.*= \{\n(?:    .*\n)*"
_SCHEDULE = '    "{}.count_missing_words": {{"schedule": crontab(minute="*/30")}},\n'
_ABOVE_USERS = r'(?=^  "users",$)'  # an application may import users, not the reverse
# What a new application's files begin with in place of the example's own.
_FIRST_LINE = '"""The living example'


def make(root: Path, name: str, model: str) -> list[str]:
    """Make the application; return the files that were written and changed.

    Raises DevError with every problem at once, before anything is written.
    """
    model = model or _singular(name)
    if problems := list(judge(root, name, model)):
        raise DevError.of(problems)
    written = dict(_copied(root, name, model))
    settings, imports = ((root / path).read_text(encoding="utf-8") for path in (SETTINGS, IMPORTS))
    settings = _registered(SETTINGS, settings, _END_OF_LIST, f'    "{name}",\n')
    written[SETTINGS] = _registered(SETTINGS, settings, _END_OF_SCHEDULES, _SCHEDULE.format(name))
    written[IMPORTS] = _registered(IMPORTS, imports, _ABOVE_USERS, f'  "{name}",\n')
    for path, text in written.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return sorted(written)


def judge(root: Path, name: str, model: str) -> Iterator[Problem]:
    """What is wrong with the names of an application and its model."""
    if not re.fullmatch(r"[a-z]+(_?[a-z0-9]+)*", name):
        what = f"{name!r} is not lower-case letters, digits and single underscores"
        yield Problem(what, names.proposed(name, "_", "invoices"))
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", model) or keyword.iskeyword(model):
        yield Problem(f"{model!r} is no name of a class", "name it: --model Invoice")
    for word in {name, model}:
        if len(word) > MAX_NAME:
            yield Problem(f"{word} has {len(word)} characters", f"use at most {MAX_NAME}")
    if why := _taken(root, name):
        yield Problem(f"{name} is {why}", "choose another name")


def _taken(root: Path, name: str) -> str:
    if why := names.taken(root, name):
        return why
    if any(root.glob(f".venv/lib/python*/site-packages/{name}")) or _is_used(root, name):
        return "an installed package"
    # Labels of Django's own applications, which are in no folder of their name.
    labels = ("admin", "auth", "contenttypes", "messages", "notes", "sessions", "staticfiles")
    if name in labels:
        return "the label of an installed application"
    return "an address of the API" if name in ("docs", "health", "schema") else ""


def _is_used(root: Path, name: str) -> bool:
    """Whether a lock or an import names a package: on Compose there may be no .venv."""
    locks = (path.read_text(encoding="utf-8") for path in (root / "requirements").glob("*.txt"))
    if any(pins.normal(name) in pins.packages(text) for text in locks):
        return True
    statement = re.compile(rf"^(?:from|import) {name}\b", re.MULTILINE)
    files = (root / "backend").rglob("*.py")
    return any(statement.search(path.read_text(encoding="utf-8")) for path in files)


def _copied(root: Path, name: str, model: str) -> Iterator[tuple[str, str]]:
    new = {
        "notes": name,
        "Notes": "".join(part.title() for part in name.split("_")),
        "Note": model,
        "note": re.sub(r"(?<!^)(?=[A-Z])", "_", model).lower(),
    }

    def renamed(text: str) -> str:
        return _NAMES.sub(lambda found: new[found.group().rpartition(".")[2]], text)

    for path in sorted((root / EXAMPLE).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        text = "" if text.startswith(_FIRST_LINE) else sort_imports(renamed(text))
        yield f"backend/{name}/{renamed(str(path.relative_to(root / EXAMPLE)))}", text


def sort_imports(text: str) -> str:
    """`text` with each block of `from` imports in the order of their modules."""
    statement = r"from [\w.]+ import (?:\([^)]*\)|[^\n(]*)\n"

    def in_order(block: re.Match[str]) -> str:
        return "".join(sorted(re.findall(statement, block.group()), key=lambda one: one.split()[1]))

    return re.sub(rf"^(?:{statement})+", in_order, text, flags=re.MULTILINE)


def _registered(path: str, text: str, where: str, line: str) -> str:
    """The text of a file with a line added after each match of `where`."""
    new, count = re.subn(where, lambda found: found.group() + line, text, flags=re.MULTILINE)
    if not count:
        raise DevError(f"{path} has no place for an application", "git log -p shows who removed it")
    return new


def _singular(name: str) -> str:
    singular = re.sub(r"ies$", "y", name) if name.endswith("ies") else re.sub(r"s$", "", name)
    return "".join(part.title() for part in singular.split("_"))
