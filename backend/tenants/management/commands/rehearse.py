import json
import logging
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import connection

from tenants.rehearsal import Finding, RehearsalFailed, Report, Schema, rehearse

HEADINGS = ("SCHEMA", "SECONDS", "MIGRATIONS", "LONGEST LOCK", "LONGEST WAIT OF THE CODE BEFORE")

SHOWN = 3  # schemas of a finding


class Command(BaseCommand):
    help = "Migrate a copy of the database while older code uses it: ./dev release --rehearse"
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("database", metavar="COPY", help="name of the copy to migrate")
        parser.add_argument("--old", type=Path, required=True, help="folder of the older backend")
        parser.add_argument("--allow", action="append", default=[], metavar="APP.MIGRATION")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, database: str, old: Path, allow: list[str], **options: Any) -> None:
        logging.disable(logging.CRITICAL)  # the report has what they say
        connection.settings_dict["NAME"] = database
        self.stderr.style_func = None
        try:
            report = rehearse(old.resolve(), allow, self.stderr.write)
        except (RehearsalFailed, DatabaseError) as error:
            what, remedy = " ".join(str(error).split()), getattr(error, "remedy", "")
            if options["json"]:
                problem = {"what": what, "remedy": remedy}
                self.stdout.write(json.dumps({"problems": [problem]}, indent=2))
            raise CommandError(f"{what}\n  {remedy}") from error
        finally:
            logging.disable(logging.NOTSET)
            connection.close()
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), indent=2))
        else:
            self._show(report)
        if not report.safe:
            raise SystemExit(1)

    def _show(self, report: Report) -> None:
        if not report.schemas:
            self.stdout.write("no migration is pending")
            return
        rows = [HEADINGS, *map(_row, report.schemas)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())
        for found in report.findings.values():
            self.stdout.write(_described(found))
        if report.safe:
            self.stdout.write("safe to release while the code before serves")


def _row(schema: Schema) -> tuple[str, ...]:
    longest = max(schema.locks, key=lambda lock: lock["seconds"], default=None)
    lock = f"{longest['seconds']:.3f} s {longest['mode']} {longest['table']}" if longest else "none"
    names = str(len(schema.migrations))
    return schema.schema, f"{schema.seconds:.2f}", names, lock, f"{schema.longest_wait:.3f} s"


def _described(found: Finding) -> str:
    state = "allowed" if found.allowed else "unsafe"
    where = ", ".join(found.schemas[:SHOWN])
    more = f" and {len(found.schemas) - SHOWN} more" if len(found.schemas) > SHOWN else ""
    name = found.migration or "all together"
    return f"\n{state}: {name} {found.what}\n  {found.remedy}\n  in {where}{more}"
