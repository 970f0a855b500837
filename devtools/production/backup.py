"""Backup and restore of the production stack: roles, database, uploaded and exported files.

A backup is a directory. Its manifest is written last and has the digest of each file, so that
an incomplete backup is detected. It contains no password: the roles of the restored database
get those of the new stack's environment file. A restore requires new volumes. It restores the
database last and renames it when it is complete, so that a failed restore is never served.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import DevError, Problem
from ..terminal import Terminal
from .stack import ProductionStack

MANIFEST = "manifest.json"
DATABASE = "database.sql.gz"
FILES = "files.tar"
FORMAT = 1
BUCKET = "AWS_STORAGE_BUCKET_NAME"

_STARTED_WITHIN = 600  # seconds
_DONE_WITHIN = 24 * 3600  # seconds

_FACTS = """
SELECT json_build_object(
    'postgres', current_setting('server_version_num')::int / 10000,
    'tenants', (SELECT coalesce(
        json_object_agg(schema_name, to_jsonb(tenant) ->> 'identity' ORDER BY schema_name), '{}')
        FROM public.tenant_config tenant),
    'tables', (SELECT count(*) FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')),
    'roles', (SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenant_')))
"""
# Run where the release runs, because web and worker cannot read exported tenants.
_IN_RELEASE = ("run", "--rm", "-T", "--no-deps", "migrate")
# Status 1: a file changed or disappeared while it was read. The database in the backup does not
# refer to a new file yet, and a deleted one is missing anyway.
_PACK = "tar --create --directory /data media exports || test $? -eq 1"


def back_up(stack: ProductionStack, target: Path, terminal: Terminal) -> dict[str, Any]:
    """Write a backup of the running stack to `target`, a new directory; return its manifest.

    Raises:
        DevError: on failure. The incomplete backup is deleted.
    """
    stack.running("db")
    before = _facts(stack)
    try:
        target.mkdir(mode=0o700)  # it contains the data of all tenants
    except FileExistsError:
        raise DevError(f"{target} exists", "choose a directory that does not exist") from None
    except OSError as error:
        raise DevError(f"{target} cannot be created: {error.strerror}") from error
    try:
        with terminal.step("roles and database"):
            _write(stack, target / DATABASE, "exec", "-T", "db", "/scripts/dump")
        # After the database, so that every file it refers to exists.
        with terminal.step("files"):
            _write(stack, target / FILES, *_IN_RELEASE, "sh", "-c", _PACK)
        if _facts(stack) != before:
            raise DevError(
                "tenants or tables were created or dropped during the backup",
                f"try again: ./dev backup {target}",
            )
        manifest = {
            "format": FORMAT,
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **before,
            "bucket": _bucket(stack),
            "files": {name: _described(target / name) for name in (DATABASE, FILES)},
        }
        _new(target / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    except BaseException:
        shutil.rmtree(target)
        raise
    return manifest


def restore(stack: ProductionStack, source: Path, terminal: Terminal) -> dict[str, Any]:
    """Restore a backup into the stack's new volumes; return its manifest. Only `db` runs then.

    Raises:
        DevError: if the backup is incomplete; before any change if the volumes are not new or
        PostgreSQL has another major version; if the restore fails.
    """
    with terminal.step("checking the backup"):
        manifest = read(source)
    with terminal.step("database"):
        stack.compose("up", "--detach", "--wait", "db", timeout=_STARTED_WITHIN)
    _refuse_another_target(stack, manifest)
    try:
        with terminal.step("files"):
            _read(stack, source / FILES, *_IN_RELEASE, "tar", "--extract", "--directory", "/data")
        with terminal.step("roles and database"):
            _read(stack, source / DATABASE, "exec", "-T", "db", "/scripts/restore")
        facts = _facts(stack)
        if facts != {name: manifest[name] for name in facts}:
            raise DevError("the database has other tenants or tables than the backup")
    except DevError as error:
        raise DevError.of([*error.problems, Problem("restore failed", _anew(stack))]) from None
    return manifest


def read(source: Path) -> dict[str, Any]:
    """Return the manifest of a complete backup. Raises DevError with all its problems."""
    try:
        manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        made_as, expected = manifest["format"], manifest["files"]
    except FileNotFoundError:
        raise DevError(
            f"{source} has no {MANIFEST}: it is not a backup, or an incomplete one",
            "choose another: ./dev restore DIRECTORY",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DevError(f"{source / MANIFEST} cannot be read: {error!r}") from error
    if made_as != FORMAT:
        raise DevError(
            f"{source} has the format {made_as}, and this checkout reads {FORMAT}",
            "restore it with a checkout of the release that wrote it",
        )
    problems = []
    for name in (DATABASE, FILES):
        if not (source / name).is_file():
            problems.append(Problem(f"{source / name} is missing"))
        elif _described(source / name) != expected.get(name):
            problems.append(Problem(f"{source / name} was changed after the backup"))
    if problems:
        problems[-1] = Problem(problems[-1].what, "copy the backup again, or restore another")
        raise DevError.of(problems)
    return manifest


def _refuse_another_target(stack: ProductionStack, manifest: dict[str, Any]) -> None:
    """Refuse volumes that are not empty, and another major version of PostgreSQL."""
    facts, problems = _facts(stack), []
    if facts["postgres"] != manifest["postgres"]:
        problems.append(
            Problem(
                f"the backup is of PostgreSQL {manifest['postgres']}, and {facts['postgres']} runs",
                f"restore it where docker-compose.prod.yml runs postgres:{manifest['postgres']}",
            )
        )
    # One table comes from the init script.
    if facts["tenants"] or facts["tables"] > 1 or facts["roles"]:
        problems.append(
            Problem(f"the database is not new: it has {facts['tables']} tables", _anew(stack))
        )
    find = ("find", "/data/media", "/data/exports", "-type", "f", "-print", "-quit")
    if found := stack.compose(*_IN_RELEASE, *find, timeout=_STARTED_WITHIN).output.strip():
        problems.append(Problem(f"the volumes of files are not new: {found} exists", _anew(stack)))
    if problems:
        raise DevError.of(problems)


def _anew(stack: ProductionStack) -> str:
    down = " ".join([*stack.command, "--profile '*' down --volumes"])
    return f"delete all data of this stack, and restore again: {down}"


def _facts(stack: ProductionStack) -> dict[str, Any]:
    psql = 'exec psql -XqAt -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "$1"'
    asked = stack.compose("exec", "-T", "db", "sh", "-c", psql, "sh", _FACTS)
    return json.loads(asked.output)


def _bucket(stack: ProductionStack) -> str | None:
    """The bucket with the uploaded files, if they are not in the volume."""
    return stack.configuration["services"]["web"]["environment"].get(BUCKET) or None


def _write(stack: ProductionStack, path: Path, *command: str) -> None:
    with _new(path).open("wb") as file:
        stack.compose(*command, into=file, timeout=_DONE_WITHIN)


def _new(path: Path) -> Path:
    """`path`, a new file that only its owner can read."""
    path.touch(mode=0o600)
    return path


def _read(stack: ProductionStack, path: Path, *command: str) -> None:
    with path.open("rb") as file:
        stack.compose(*command, given=file, timeout=_DONE_WITHIN)


def _described(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}
