"""`manage.py emails`: the last e-mails that the workbench shows, as JSON."""

from __future__ import annotations

import json
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from workbench import mail
from workbench.activity_log import MAIL, connect

LONGEST = 4000  # characters of the text of an e-mail


class Command(BaseCommand):
    help = "Print the last e-mails, the newest first, as JSON."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--last", type=int, default=20, help="at most so many (%(default)s)")
        parser.add_argument("--key", default="", help="the whole e-mail with this key")

    def handle(self, *, last: int, key: str, **options: Any) -> None:
        try:
            found = _message(key) if key else _listed(last)
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer: {error}") from error
        self.stdout.write(json.dumps(found))


def _listed(last: int) -> list[dict[str, Any]]:
    with connect() as client:
        kept = MAIL.newest_first(client)[:last]
    return [{name: entry[name] for name in entry if name != "source"} for entry in kept]


def _message(key: str) -> dict[str, Any]:
    found = mail.read(key)
    if found is None:
        raise CommandError(f"no e-mail with the key {key} is kept: only the last ones are")
    facts = {name: found.entry[name] for name in found.entry if name != "source"}
    text = found.text or found.html
    return {**facts, "sender": found.sender, "text": text[:LONGEST], "files": found.files}
