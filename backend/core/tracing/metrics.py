"""Figures for a collector, by OTLP: requests and tasks of each process, and the state of the whole.

Their instrumentations count requests and tasks, in each process: `start` comes after its fork.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import uuid4

from django.conf import settings
from django.db import connections
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource

from core.gauges import GAUGES, Read

INTERVAL = 30  # seconds between two times that figures are sent
TIMEOUT = 5  # seconds for the collector's answer


def start(service: str) -> None:
    """Send the requests or tasks of this process."""
    metrics.set_meter_provider(_provider(service))


def observe(service: str) -> MeterProvider:
    """Send what is registered in core/gauges.py."""
    made = _provider(service)
    meter = made.get_meter("homeport")
    for gauge in GAUGES:
        meter.create_observable_gauge(gauge.name, [_callback(gauge.read)], gauge.unit, gauge.about)
    return made


def flush() -> None:
    """Send what was counted since the last time."""
    made = metrics.get_meter_provider()
    if isinstance(made, MeterProvider):
        made.force_flush(TIMEOUT * 1000)


def _provider(service: str) -> MeterProvider:
    exporter = OTLPMetricExporter(
        f"{settings.TRACES_ENDPOINT}/v1/metrics", headers=settings.TRACES_HEADERS, timeout=TIMEOUT
    )
    # Processes count apart from each other, so each has a name to itself.
    resource = Resource({SERVICE_NAME: service, SERVICE_INSTANCE_ID: str(uuid4())})
    return MeterProvider([PeriodicExportingMetricReader(exporter, INTERVAL * 1000)], resource)


def _callback(read: Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observed(_options: CallbackOptions) -> Iterable[Observation]:
        try:
            return [Observation(value, attributes) for value, attributes in read()]
        finally:
            connections.close_all()  # the reader's thread keeps none

    return observed
