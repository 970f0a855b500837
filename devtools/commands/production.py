"""Managing the production stack of a machine."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from .. import environment
from ..errors import DevError
from ..interpreter import Local
from ..production import inventory, licences, rotation
from ..production.stack import COMPOSE_FILE, ENVIRONMENT_FILE, ProductionStack
from ..terminal import Mark, Terminal
from . import shapes
from .options import ENV_FILE, flag, option
from .registry import Run, group

command = group("Production", "./dev secrets --domain example.com", "./dev roll")


@command(
    "secrets",
    f"write {ENVIRONMENT_FILE} with random secrets, for a new production stack",
    "./dev secrets --domain example.com",
    options=[
        option("--domain", default="", metavar="DOMAIN", help="each tenant answers at NAME.DOMAIN")
    ],
    answer=shapes.SECRETS,
)
def secrets(run: Run) -> int:
    from ..production import secret_values

    left = secret_values.write(run.checkout, run.options.domain)
    run.answer({"file": ENVIRONMENT_FILE, "to_fill_in": list(left)})
    run.terminal.mark(Mark.GOOD, f"{ENVIRONMENT_FILE} written, readable only by you")
    run.terminal.say(f"  to fill in: {', '.join(left)}")
    run.terminal.say(f"  then: {ProductionStack(run.checkout).start} --build")
    return 0


@command(
    "roll",
    "replace web and worker of the production stack without downtime",
    "./dev roll   after docker compose ... build, or with another BACKEND_IMAGE",
    options=[ENV_FILE],
    answer=shapes.SECONDS,
)
def roll(run: Run) -> int:
    from ..production import rollout

    began = time.monotonic()
    rollout.roll(run.production, run.terminal)
    run.answer_seconds(began, "rolled in")
    return 0


@command(
    "rotate",
    "change a secret of the production stack while it serves",
    "./dev rotate SECRET_KEY   also signs tokens; log-ins stay",
    "./dev rotate SECRET_KEY --forget   a fortnight later, or at once if the old key leaked",
    "./dev rotate APP_PASSWORD",
    options=[
        option(
            "name",
            choices=[*rotation.SECRETS],
            metavar="NAME",
            help=f"one of {', '.join(rotation.SECRETS)}",
        ),
        flag(
            "--forget",
            help="do not change SECRET_KEY: end all log-ins that an earlier one has signed",
        ),
        ENV_FILE,
    ],
    answer=shapes.SECONDS,
)
def rotate(run: Run) -> int:
    began = time.monotonic()
    stack = run.production
    name = run.options.name
    with run.checkout.lock(run.terminal, f"rotate {name}", "production"):
        if not run.options.forget:
            rotation.rotate(stack, name, run.terminal)
        elif name == rotation.KEY:
            rotation.forget(stack, run.terminal)
        else:
            raise DevError(f"--forget is for {rotation.KEY}", f"./dev rotate {name}")
    run.answer_seconds(began, "done in")
    run.terminal.say(f"  keep a copy of {stack.environment_file} where you keep secrets")
    return 0


_DIRECTORY = option("directory", type=Path, metavar="DIRECTORY", help="the backup's directory")


@command(
    "backup",
    "back up the production stack: roles, database, uploaded and exported files",
    "./dev backup /backups/monday   the directory is created, readable only by you",
    options=[_DIRECTORY, ENV_FILE],
    answer=shapes.BACKUP,
)
def backup(run: Run) -> int:
    from ..production import backup

    stack = run.production
    made = backup.back_up(stack, run.options.directory.resolve(), run.terminal)
    run.answer(made)
    total = sum(file["bytes"] for file in made["files"].values())
    run.terminal.mark(
        Mark.GOOD, f"backup of {len(made['tenants'])} tenants, {total / 2**20:.1f} MiB"
    )
    _name_the_bucket(run.terminal, made)
    return 0


@command(
    "restore",
    "restore a backup of the production stack into new volumes",
    "./dev restore /backups/monday   then start the stack",
    "fails for an incomplete backup, volumes with data, or another major version of PostgreSQL",
    options=[_DIRECTORY, ENV_FILE],
    answer=shapes.BACKUP,
)
def restore(run: Run) -> int:
    from ..production import backup

    stack = run.production
    made = backup.restore(stack, run.options.directory.resolve(), run.terminal)
    run.answer(made)
    run.terminal.mark(Mark.GOOD, f"{len(made['tenants'])} tenants restored, as of {made['made']}")
    _name_the_bucket(run.terminal, made)
    run.terminal.say(f"  then: {stack.start}")
    return 0


def _name_the_bucket(terminal: Terminal, manifest: dict[str, Any]) -> None:
    if manifest["bucket"]:
        terminal.say(f"  not included: uploaded files, in the bucket {manifest['bucket']}")


@command(
    "sbom",
    "print a bill of materials of the production image: CycloneDX, JSON",
    "./dev sbom > sbom.json",
    f"fails if the image has packages that are not in {licences.LOCK}",
    options=[
        option(
            "--image",
            default="",
            metavar="IMAGE",
            help=f"the image to inspect (that of {COMPOSE_FILE})",
        )
    ],
)
def sbom(run: Run) -> int:
    from ..declared import compose
    from ..ecs import export

    # Everything except the document goes to stderr.
    aside = Terminal(out=sys.stderr)
    python = environment.ensure(run.checkout, aside, environment.TOOLS)
    files = compose.load(run.checkout, Local(python))
    image = run.options.image or export.image(run.checkout, files)
    document = inventory.bill_of_materials(run.checkout, python, image)
    run.terminal.say(json.dumps(document, indent=2))
    return 0
