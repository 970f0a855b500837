"""Working inside the running stack, and managing its data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import completion
from ..errors import FAILED, DevError, Problem, UsageError
from ..services import WEB
from ..terminal import Mark, megabytes, table
from . import shapes
from .options import ENV_FILE, PRODUCTION, YES, flag, one_of, option, repeated
from .registry import Run, group

if TYPE_CHECKING:
    from ..database_upgrade import Clusters
    from ..snapshots import Snapshots

command = group(
    "Inside it",
    "./dev manage createsuperuser --tenant NAME",
    "./dev snapshot save before-merge",
)


# Their files belong to the caller, who may differ from the container's user.
_WRITE_CODE = {
    *("makemigrations", "squashmigrations", "optimizemigration", "makemessages"),
    *("compilemessages", "startapp", "startproject"),
}


@command(
    "manage",
    "run a manage.py command as the database's owner",
    "./dev manage createsuperuser --tenant NAME",
    "./dev manage showmigrations",
    passes_on="manage.py",
)
def manage(run: Run) -> int:
    name = next((word for word in run.rest if not word.startswith("-")), "")
    return run.engine.manage(run.rest, writes_code=name in _WRITE_CODE)


@command(
    "migrate",
    "migrate every schema and create missing tenants, like a start",
    "./dev migrate",
    "./dev migrate products 0001   arguments go to manage.py migrate",
    passes_on="manage.py migrate",
)
def migrate(run: Run) -> int:
    return run.engine.manage(["migrate", *run.rest]) if run.rest else run.engine.release()


@command(
    "release",
    "rehearse the pending migrations on a copy of the data, while the code before uses it",
    "./dev release --rehearse",
    "./dev release --rehearse --old v1.2   which code serves now",
    "./dev release --rehearse --production   the image to roll, and the code of the running web",
    "exit status: 1 if a migration is unsafe; docs/production.md#rehearse-it",
    options=[
        flag("--rehearse", help="on a copy of the data, while older code uses it"),
        option(
            "--old",
            default="",
            metavar="COMMIT",
            help="the code before (of the data's last migration)",
        ),
        repeated(
            "--allow",
            metavar="APP.MIGRATION",
            help="do not fail because of this migration; may be repeated",
        ),
        PRODUCTION,
        ENV_FILE,
    ],
    answer=shapes.REHEARSAL,
)
def release(run: Run) -> int:
    from .. import rehearsal

    given = run.options
    if not given.rehearse:
        raise UsageError("only a rehearsal is done here: add --rehearse", "./dev migrate")
    if given.production and given.old:
        raise UsageError("the code before is that of the running web", "leave out --old")
    options = [f"--allow={name}" for name in given.allow] + (["--json"] if run.json else [])
    with run.checkout.lock(run.terminal, "release --rehearse", "rehearsal"):
        if given.production:
            return rehearsal.rehearse_production(run.production, run.terminal, options)
        return rehearsal.rehearse(run.engine, run.terminal, given.old, options)


@command(
    "makemigrations",
    "write migrations for changed models; the files belong to you",
    "./dev makemigrations",
    "./dev makemigrations products --name add_price",
    passes_on="manage.py makemigrations",
)
def makemigrations(run: Run) -> int:
    return run.engine.manage(["makemigrations", *run.rest], writes_code=True)


@command(
    "shell",
    "open Django's shell in web, with web's rights",
    "./dev shell",
    "./dev shell -c 'from django.conf import settings; print(settings.DEBUG)'",
    passes_on="manage.py shell",
)
def shell(run: Run) -> int:
    return run.engine.shell(run.rest)


@command(
    "tasks",
    "show schedules, and tasks that run, wait or failed; send one again, or end it",
    "./dev tasks",
    "./dev tasks --json",
    "./dev tasks ID   with its arguments and traceback",
    "./dev tasks --send ID   or all; --end ID ends a running one; both ask before",
    options=[
        option("id", nargs="?", metavar="ID", help="show all of this task"),
        one_of(
            option("--send", metavar="ID", help="send this failed task again, or `all`"),
            option("--end", metavar="ID", help="end this running task, for good"),
            option("--forget", metavar="ID", help="forget this failed task, or `all`"),
        ),
        YES,
    ],
    answer=shapes.TASKS,
)
def tasks(run: Run) -> int:
    return run.engine.look(["tasks", *_words(run, "send", "end", "forget", "yes", "json")])


def _words(run: Run, *names: str) -> list[str]:
    """The ID and these options as they were given, for a command of manage.py that has the same."""
    words = [run.options.id] if run.options.id else []
    for name in names:
        value = getattr(run.options, name)
        if value:
            words += [f"--{name}"] if value is True else [f"--{name}", value]
    return words


@command(
    "psql",
    "open psql on the application's database, as superuser",
    "./dev psql",
    "./dev psql -c 'SELECT * FROM tenant_config'",
    passes_on="psql",
)
def psql(run: Run) -> int:
    return run.engine.psql(run.rest)


@command(
    "trace",
    "print what a request or task did: queries, cache calls, tasks, e-mails; or list the last ones",
    "./dev trace",
    "./dev trace --last",
    "./dev trace --json   the last requests, tasks and commands",
    "./dev trace 885f725c-15d6-3443-b816-40a87e3bac3d   of an answer's X-Request-ID",
    options=[
        one_of(
            option("id", nargs="?", metavar="ID", help="of a trace, an X-Request-ID or a task"),
            flag("--last", help="the newest request"),
            flag("--slow", help="list only those that took long"),
        )
    ],
    answer=shapes.TRACE,
)
def trace(run: Run) -> int:
    return run.engine.look(["trace", *_words(run, "last", "slow", "json")])


@command(
    "exec",
    "run a command in a running service, with its environment",
    "./dev exec web python manage.py check",
    "./dev exec worker env",
    options=[
        # A habit from Docker Compose.
        flag("-T", help="ignored: a terminal is allocated only if there is one"),
        option("service", metavar="SERVICE", help="where it runs", completes=completion.services),
        option("words", nargs="...", metavar="COMMAND", help="what runs"),
    ],
)
def execute(run: Run) -> int:
    service, words = run.options.service, run.options.words
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        raise UsageError(f"missing command to run in {service}", f"./dev exec {service} COMMAND")
    return run.engine.execute(service, words)


@command(
    "upgrade-db",
    "take the database's data to the declared major version of PostgreSQL",
    "./dev upgrade-db   while the stack is down; the old data is kept",
    "./dev upgrade-db --back   then use a checkout that declares the old version",
    "./dev upgrade-db --forget",
    "./dev upgrade-db --production",
    options=[
        one_of(
            flag("--back", help="use the kept data of the old version"),
            flag("--forget", help="delete the kept data"),
        ),
        PRODUCTION,
        option(
            "--programs",
            metavar="DIRECTORY",
            type=Path,
            help="where postgres and pg_dump of the old version are, without Docker",
        ),
        ENV_FILE,
        YES,
    ],
    answer=shapes.UPGRADE_DB,
)
def upgrade_db(run: Run) -> int:
    from .. import database_upgrade

    clusters = _clusters(run)
    with run.checkout.lock(run.terminal, "upgrade-db"):
        if run.options.back:
            if not run.confirmed([f"what was written to {clusters.place} since the upgrade"]):
                return FAILED
            with run.terminal.step("putting the old data back"):
                version = database_upgrade.go_back(clusters)
            said = f"{clusters.place} is of PostgreSQL {version} again"
            return _upgraded(run, said, {"from": clusters.wanted, "to": version})
        if run.options.forget:
            if not run.confirmed([clusters.kept_place]):
                return FAILED
            database_upgrade.forget(clusters)
            return _upgraded(run, f"{clusters.kept_place} was deleted", {})
        found = database_upgrade.upgrade(clusters, run.terminal)
    if found is None:
        said = f"nothing to do: {clusters.place} has no data of another version"
        return _upgraded(run, said, {})
    _upgraded(run, f"PostgreSQL {found['from']} to {found['to']}: every table is equal", found)
    for name, facts in found["schemas"].items():
        run.terminal.say(f"  {name}: {facts['tables']} tables, {facts['rows']} rows")
    run.terminal.say(f"  {clusters.kept_place} has the old data; to delete it: --forget")
    return 0


def _clusters(run: Run) -> Clusters:
    from ..docker.clusters import VolumeClusters

    if not run.options.production:
        return run.engine.clusters(run.options.programs)
    return VolumeClusters(run.checkout, run.checkout.variables, run.production.configuration)


def _upgraded(run: Run, said: str, found: dict[str, Any]) -> int:
    run.answer(found)
    run.terminal.mark(Mark.GOOD, said)
    return 0


def _snapshots() -> Iterable[str]:
    from ..checkout import Checkout
    from ..snapshots import remembered

    return remembered(Checkout())


@command(
    "snapshot",
    "save the whole database under a name, and restore it",
    "./dev snapshot save before-merge",
    "./dev snapshot save shown --masked   without personal data",
    "./dev snapshot list",
    "./dev snapshot restore before-merge   the old database is kept as `previous`",
    "./dev snapshot delete before-merge",
    options=[
        option("action", choices=["save", "restore", "list", "delete"]),
        option("name", nargs="?", metavar="NAME", help="of the snapshot", completes=_snapshots),
        flag("--replace", help="overwrite a snapshot of the same name"),
        flag("--masked", help="save without personal data"),
        YES,
    ],
    answer=shapes.SNAPSHOTS,
)
def snapshot(run: Run) -> int:
    from ..snapshots import Snapshots

    options = run.options
    if options.action != "list" and not options.name:
        raise UsageError("missing snapshot name", f"./dev snapshot {options.action} NAME")
    with run.checkout.lock(run.terminal, "snapshot"):
        return _SNAPSHOT_ACTIONS[options.action](run, Snapshots(run.engine, run.checkout))


def _save_snapshot(run: Run, snapshots: Snapshots) -> int:
    name = run.options.name
    with run.terminal.step(f"saving {name}"):
        made = snapshots.save(name, replace=run.options.replace, masked=run.options.masked)
    run.answer(asdict(made))
    run.terminal.say(f"  {megabytes(made.bytes)}; to restore it: ./dev snapshot restore {name}")
    return 0


def _restore_snapshot(run: Run, snapshots: Snapshots) -> int:
    from ..snapshots import PREVIOUS

    name = run.options.name
    with run.terminal.step(f"restoring {name}"):
        snapshots.restore(name)
    run.terminal.say(f"  to go back: ./dev snapshot restore {PREVIOUS}")
    try:
        run.engine.empty_cache()
        run.terminal.say("  the cache was emptied to remove old data; log in again")
    except DevError as error:
        what = f"the cache still contains data of the old database: {error}"
        run.terminal.warn(Problem(what, "./dev restart redis, or wait until the cache expires"))
    return _follow_restored(run, snapshots)


def _follow_restored(run: Run, snapshots: Snapshots) -> int:
    """Wait until web uses the restored database; print pending problems."""
    from ..health import MIGRATIONS

    web = next(one for one in run.engine.status().services if one.name == WEB)
    if not web.since:
        run.answer({"restored": run.options.name, "failing": {}})
        run.terminal.say("  web is not up: ./dev up also applies pending migrations")
        return 0
    with run.terminal.step("waiting for web and worker to reconnect"):
        failing = snapshots.failing_after(patience=60)
    run.answer({"restored": run.options.name, "failing": failing})
    pending = failing.pop(MIGRATIONS, "")
    if pending:
        run.terminal.warn(Problem(pending, "./dev migrate"))
    for name, reason in failing.items():
        run.terminal.fail(Problem(f"{name}: {reason}", "./dev status   checks again"))
    return FAILED if failing else 0


def _list_snapshots(run: Run, snapshots: Snapshots) -> int:
    found = snapshots.listed()
    if run.json:
        run.answer(list(map(asdict, found)))
        return 0
    if not found:
        run.terminal.say("no snapshots; save one: ./dev snapshot save NAME")
        return 0
    rows = [["NAME", "SIZE", "SAVED (UTC)", "BRANCH", "TENANTS", "DATA", "MIGRATIONS"]]
    for one in found:
        when = one.saved[:16].replace("T", " ")
        tenants = str(len(one.tenants))
        data = "masked" if one.masked else "all"
        size = megabytes(one.bytes)
        rows.append([one.name, size, when, one.branch, tenants, data, one.migrations])
    head, *lines = table(rows)
    run.terminal.heading(head)
    for line in lines:
        run.terminal.say(line)
    return 0


def _delete_snapshot(run: Run, snapshots: Snapshots) -> int:
    found = snapshots.get(run.options.name)
    if not run.confirmed([f"snapshot {found.name}, {megabytes(found.bytes)}"]):
        return FAILED
    snapshots.delete(found.name)
    run.answer({"deleted": found.name})
    run.terminal.mark(Mark.GOOD, f"deleted {found.name}")
    return 0


_SNAPSHOT_ACTIONS = {
    "save": _save_snapshot,
    "restore": _restore_snapshot,
    "list": _list_snapshots,
    "delete": _delete_snapshot,
}
