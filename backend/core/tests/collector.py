"""A receiver of OTLP and of Sentry's envelopes for tests: it keeps what is sent to it.

Not a collector: it answers 200 to all, or hangs when it is told to.
"""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """What was sent: bodies by path, and the headers of the last request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: dict[str, list[bytes]] = {}
        self.headers: dict[str, str] = {}
        self.hangs = threading.Event()
        self.released = threading.Event()

    @property
    def spans(self) -> list:
        found = []
        for body in self.bodies.get("/v1/traces", []):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += scope.spans
        return found

    @property
    def figures(self) -> set[str]:
        found = set()
        for body in self.bodies.get("/v1/metrics", []):
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    found |= {metric.name for metric in scope.metrics}
        return found

    @property
    def all(self) -> bytes:
        """Everything that was sent, to look for what must not be in it."""
        return b"\n".join(body for bodies in self.bodies.values() for body in bodies)


def attributes(span) -> dict[str, str]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive at a free port while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.headers = dict(self.headers)
            receiver.bodies.setdefault(self.path, []).append(body)
            if receiver.hangs.is_set():
                receiver.released.wait(30)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.shutdown()
