"""E-mails as spans. Each carries the trace in its headers: `traceparent`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import wrapt
from django.core.mail import EmailMessage
from opentelemetry import propagate, trace

_tracer = trace.get_tracer("homeport.mail")


def instrument() -> None:
    """Trace what is sent with any backend that Django makes."""
    wrapt.wrap_function_wrapper("django.core.mail", "get_connection", _traced_connection)


def _traced_connection(
    make: Callable[..., Any], _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    connection = make(*args, **kwargs)
    send = connection.send_messages

    def send_messages(messages: Sequence[EmailMessage]) -> Any:
        with _tracer.start_as_current_span("send e-mail", kind=trace.SpanKind.PRODUCER) as span:
            span.set_attribute("messaging.batch.message_count", len(messages))
            for message in messages:
                propagate.inject(message.extra_headers)
            return send(messages)

    connection.send_messages = send_messages
    return connection
