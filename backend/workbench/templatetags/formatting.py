"""Times and durations as people read them."""

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workbench import charts

register = template.Library()

register.filter("duration", charts.duration)


@register.filter
def clock(moment: datetime) -> SafeString:
    """Return a moment's time of day in UTC; the script shows the browser's own."""
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), f"{moment:%H:%M:%S}")


@register.filter
def moment(seconds: float) -> str:
    """Return seconds since the epoch as date and time in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


@register.filter
def iso(moment: str | None) -> SafeString | str:
    """Return a moment of ISO 8601 as date and time in UTC."""
    if not moment:
        return "-"
    words = f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    return format_html('<time datetime="{}">{}</time>', moment, words)
