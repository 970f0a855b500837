"""One story of a request: its queries, cache calls, tasks, files and e-mails, as spans.

`instrument` starts it, where settings say TRACED; else OpenTelemetry's spans do nothing.
https://opentelemetry.io/docs/languages/python/
"""

from core.tracing.context import tag_tenant, traced, unleaked
from core.tracing.process import flush, instrument, observe, start_metrics

__all__ = [
    "flush",
    "instrument",
    "observe",
    "start_metrics",
    "tag_tenant",
    "traced",
    "unleaked",
]
