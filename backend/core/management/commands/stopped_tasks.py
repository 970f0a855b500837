import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.celery.stopped_tasks import forget, kept, send_again


class Command(BaseCommand):
    """What core/celery/stopped_tasks.py keeps."""

    help = "List the tasks that were stopped because they ended their process; send them again."

    def add_arguments(self, parser: Any) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--send", metavar="ID", help="send this one again, or `all`")
        what.add_argument("--forget", metavar="ID", help="forget this one, or `all`")

    def handle(self, *args: Any, **options: Any) -> None:
        found = kept()
        wanted = options["send"] or options["forget"]
        if not wanted:
            for task_id, one in found.items():
                self.stdout.write(_line(task_id, one))
            if not found:
                self.stdout.write("no task was stopped")
            return
        if wanted != "all" and wanted not in found:
            raise CommandError(f"no stopped task {wanted!r}; without options they are listed")
        from core.celery import app

        for task_id in found if wanted == "all" else [wanted]:
            try:
                send_again(app, task_id) if options["send"] else forget(task_id)
            except KeyError as error:
                raise CommandError(f"this code has no task {error}; --forget {task_id}") from error
            self.stdout.write(f"{'sent again' if options['send'] else 'forgotten'}: {task_id}")


def _line(task_id: str, one: dict[str, Any]) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one["stopped_at"]))
    whose = one["headers"].get("_schema_name", "-")
    return f"{task_id}  {when} UTC  {whose}  {one['task']}  {one['args']} {one['kwargs']}"
