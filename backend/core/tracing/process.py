"""When a process is traced, and when it hands over what it has: each is nothing where it is off.

Where it is off, neither instrumentations nor exporters are loaded.
"""

from __future__ import annotations

from django.conf import settings


def instrument() -> None:
    """Trace this process: before its middleware and its clients are made."""
    if settings.TRACED:
        from core.tracing import instrumentation

        instrumentation.instrument()
    if settings.SENTRY_DSN:
        from core import error_reports

        error_reports.start()


def start_metrics() -> None:
    """Count the requests or tasks of this process, after its fork."""
    if settings.TRACES_ENDPOINT:
        from core.tracing import instrumentation, metrics

        metrics.start(instrumentation.name())


def observe() -> None:
    """Send the state of the whole from here: once in each worker, not in those that it forks."""
    if settings.TRACES_ENDPOINT:
        from core.tracing import instrumentation, metrics

        metrics.observe(instrumentation.name())


def flush() -> None:
    """Hand over what waits, where a process ends without Python's own end."""
    if settings.TRACED:
        from core.tracing import instrumentation

        instrumentation.flush()
    if settings.TRACES_ENDPOINT:
        from core.tracing import metrics

        metrics.flush()
    if settings.SENTRY_DSN:
        from core import error_reports

        error_reports.flush()
