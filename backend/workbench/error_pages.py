"""Django's error page of a developer's machine, with a link to the request's trace."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.views.debug import ExceptionReporter

from core.errors.problem_details import request_id

_STYLE = "display:block;padding:.6rem 1.2rem;background:#14213d;color:#fff;font:1rem sans-serif"


class Reporter(ExceptionReporter):
    """https://docs.djangoproject.com/en/5.2/howto/error-reporting/#custom-error-reports"""

    def get_traceback_html(self) -> SafeString:
        link = format_html(
            '<a href="/workbench/traces/{}/" style="{}">What this request did: its trace</a>',
            request_id(),
            _STYLE,
        )
        page = super().get_traceback_html().replace("<body>", f"<body>\n{link}", 1)
        return mark_safe(page)  # noqa: S308  # Django's own, and what format_html has escaped

    def get_traceback_text(self) -> SafeString:
        text = f"{super().get_traceback_text()}\n./dev trace {request_id()}\n"
        return mark_safe(text)  # noqa: S308  # plain text
