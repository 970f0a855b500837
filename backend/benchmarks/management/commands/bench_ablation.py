"""What each middleware costs a request: the whole, less the whole without it.

In this process, so without Gunicorn's share. Whole and part take turns, so
that all meet the same machine.
"""

from __future__ import annotations

import contextlib
import io
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from json import dumps
from operator import sub
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management.base import BaseCommand
from django.test import RequestFactory, override_settings

from core.logging import BatchHandler, start_batches

ROUNDS, TIMES = 15, 60
REQUESTS = {"trivial request": "/api/v1/health/live/", "list of products": "/api/v1/products/"}
WHOLE = "all of it"

Work = Callable[[], bool]  # tells whether it succeeds


class Command(BaseCommand):
    help = "Measure requests without one middleware after another."
    requires_system_checks = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true", help="for programs, as ./dev bench")

    def handle(self, *, json: bool, **options: Any) -> None:
        settings.DEBUG = False  # it would keep every query
        figures: dict[str, float | None] = {}
        with logs_discarded():
            for name, path in REQUESTS.items():
                figures |= costs(name, requests(path))
        if json:
            kept = [
                {"name": name, "unit": "ms", "values": [] if value is None else [value]}
                for name, value in figures.items()
            ]
            self.stdout.write(dumps(kept))
            return
        for name, value in figures.items():
            shown = "needed by others" if value is None else f"{value:.3f} ms"
            self.stdout.write(f"{name:<90}{shown}")


@contextlib.contextmanager
def logs_discarded() -> Iterator[None]:
    """Write lines as web does, to nowhere."""
    with Path("/dev/null").open("w") as nowhere:
        own = [one for one in logging.root.handlers if isinstance(one, BatchHandler)]
        streams = {handler: handler.setStream(nowhere) for handler in own}
        start_batches()
        try:
            yield
        finally:
            for handler, stream in streams.items():
                handler.setStream(stream)


def costs(name: str, variants: dict[str, Work]) -> dict[str, float | None]:
    """Return the milliseconds of processor time of the whole, and what each part has of them.

    None for a part without which it fails, because another part needs it.
    """
    found: dict[str, list[float]] = {label: [] for label, work in variants.items() if work()}
    for _ in range(ROUNDS):
        for label, took in found.items():
            took.append(milliseconds(variants[label]))
    whole = found.pop(WHOLE)
    figures: dict[str, float | None] = {f"{name}, {WHOLE}": statistics.median(whole)}
    for label in (one for one in variants if one != WHOLE):
        without = found.get(label)
        figures[f"{name}: {label}"] = without and statistics.median(map(sub, whole, without))
    return figures


def milliseconds(work: Work) -> float:
    """Return the processor time of this process that doing it once takes."""
    began = time.process_time()
    for _ in range(TIMES):
        work()
    return (time.process_time() - began) / TIMES * 1000


def requests(path: str) -> dict[str, Work]:
    """Return what serves a request: whole, and without each middleware."""
    return {WHOLE: server(path, "")} | {one: server(path, one) for one in settings.MIDDLEWARE}


def server(path: str, without: str) -> Work:
    """Return what serves one request without this middleware."""
    with override_settings(MIDDLEWARE=[one for one in settings.MIDDLEWARE if one != without]):
        application = WSGIHandler()
    environ = RequestFactory(headers={"host": "localhost"}).get(path).environ

    def serve() -> bool:
        answer = application({**environ, "wsgi.input": io.BytesIO()}, lambda *_: None)
        b"".join(answer)
        answer.close()
        return answer.status_code == HTTPStatus.OK

    return serve
