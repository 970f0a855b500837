"""`manage.py routes`: every address of the application with its view, as JSON."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.urls import URLPattern, URLResolver, get_resolver


class Command(BaseCommand):
    help = "Print the addresses of the application with their views, as JSON."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("word", nargs="?", default="", help="only with this in address or view")

    def handle(self, *, word: str, **options: Any) -> None:
        found = [one for one in _routes(get_resolver(), "/") if word in f"{one['path']} {one}"]
        self.stdout.write(json.dumps(found))


def _routes(resolver: URLResolver, prefix: str) -> Iterator[dict[str, Any]]:
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, path)
        elif isinstance(entry, URLPattern):
            view = _view(entry.callback)
            yield {
                "path": path,
                "name": entry.name or "",
                "view": f"{view.__module__}.{view.__qualname__}",
                "place": _place(view),
            }


def _view(callback: Any) -> Any:
    """Return the class or function that was written, without what wraps it."""
    found = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    return found or inspect.unwrap(callback)


def _place(view: Any) -> str:
    try:
        path = Path(inspect.getsourcefile(view) or "")
        line = inspect.getsourcelines(view)[1]
    except (OSError, TypeError):
        return ""
    if not path.is_relative_to(settings.BASE_DIR):
        return ""  # of a package
    return f"backend/{path.relative_to(settings.BASE_DIR)}:{line}"
