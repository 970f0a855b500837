"""One log for every process: web, Gunicorn, worker, release.

Every line has `timestamp`, `level`, `logger` and `event`; lines of a request or task also
carry `request_id`, `tenant` and `task_id`. Each goes to standard output.
"""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Iterator
from typing import Any

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor

# Asked several times a minute, for ever: the liveness probe, and the workbench of a local stack.
# Good answers are not logged.
QUIET_PATHS = ("/api/v1/health/live/", "/workbench/live/")

# Seconds that a line may wait for others. The reader of a container's output wakes at each
# write, which costs up to a quarter of the requests that web could answer.
BATCH_WAIT = 0.1


def logging_config(log_format: str, level: str) -> dict[str, Any]:
    """Configure structlog and return the matching `logging.config.dictConfig` dictionary.

    Args:
        log_format: "json" or "console".
        level: name of the least severe level written.

    Source: https://www.structlog.org/en/stable/standard-library.html
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderers: dict[str, list[Processor]] = {
        "json": [
            structlog.processors.format_exc_info,
            put_first_things_first,
            structlog.processors.JSONRenderer(),
        ],
        "console": [structlog.dev.ConsoleRenderer()],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    add_trace,
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *renderers[log_format],
                ],
                # A record of Gunicorn, Celery or Django, which do not know structlog.
                "foreign_pre_chain": shared,
            }
        },
        "filters": {"quiet_probes": {"()": QuietProbes}},
        "handlers": {
            "stdout": {
                "()": BatchHandler,
                "stream": "ext://sys.stdout",
                "formatter": "structured",
            }
        },
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            # They have handlers already; here they only propagate.
            "django": {"level": level, "handlers": [], "propagate": True},
            "django.server": {
                "level": level,
                "handlers": [],
                "propagate": True,
                "filters": ["quiet_probes"],
            },
            "gunicorn.error": {"level": level, "handlers": [], "propagate": True},
            # core.request_log logs each refused and each failed request already.
            "django.request": {"level": "CRITICAL"},
            # It says at each client where it found keys and addresses.
            "botocore": {"level": "WARNING"},
            # It warns of each long statement that a span has in part.
            "opentelemetry.attributes": {"level": "ERROR"},
            "celery": {"level": level, "handlers": [], "propagate": True},
            # "Task received" and "succeeded": django_structlog says both, with context.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
        },
    }


class BatchHandler(logging.StreamHandler):
    """Write each line at once, or from `start_batches()` on lines below WARNING together.

    A warning goes out at once, after all lines before it; so does everything at exit.
    """

    batching = False

    def __init__(self, stream: Any = None) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not self.batching:
            super().emit(record)
            return
        try:
            self._lines.append(self.format(record) + self.terminator)
            if record.levelno >= logging.WARNING:
                self.flush()
            elif len(self._lines) == 1:
                self._flush_later()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            for batch in _batches(lines):
                self.stream.write(batch)
            super().flush()
        finally:
            self.release()

    def _flush_later(self) -> None:
        timer = threading.Timer(BATCH_WAIT, self.flush)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # the interpreter is ending
            self.flush()


def start_batches() -> None:
    """Let lines of this process wait `BATCH_WAIT` seconds for others.

    For a process that has forked what it forks: the lines wait for a thread, which children
    do not have.
    """
    for handler in logging.root.handlers:
        if isinstance(handler, BatchHandler):
            handler.batching = True


def _batches(lines: list[str]) -> Iterator[str]:
    """Lines together, as many as the processes that share a pipe can write in one piece."""
    batch, size = "", 0
    for line in lines:
        length = len(line.encode())
        if batch and size + length > select.PIPE_BUF:
            yield batch
            batch, size = "", 0
        batch += line
        size += length
    if batch:
        yield batch


class QuietProbes(logging.Filter):
    """Drop runserver's lines about quiet paths that were answered well."""

    def filter(self, record: logging.LogRecord) -> bool:
        quiet = any(path in record.getMessage() for path in QUIET_PATHS)
        return record.levelno > logging.INFO or not quiet


def trace_id() -> str:
    """Return the id of the present trace, or nothing."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else ""


def add_trace(logger: Any, name: str, event: EventDict) -> EventDict:
    """Add the trace that a line is of, where there is one."""
    if found := trace_id():
        event["trace_id"] = found
    return event


def put_first_things_first(logger: Any, name: str, event: EventDict) -> EventDict:
    """Order the fields so that a line can be read from its beginning."""
    first = ("timestamp", "level", "event", "tenant", "logger")
    return {**{key: event[key] for key in first if key in event}, **event}
