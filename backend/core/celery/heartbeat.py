"""The worker's sign of life, cheap enough to read every few seconds.

While the worker is connected to its broker it renews, every few seconds, a file for its
container's health check (core/liveness.py) and a key in the broker for /api/v1/health/. The key
names the start of the broker that it was written to: a broker keeps its data over a restart of the
machine, and would otherwise report a worker that has not started again.
"""

import socket
from collections.abc import Iterable
from typing import Any

import redis
import structlog

from core.celery.broker import broker
from core.celery.timer import TimerStep
from core.liveness import HEARTBEAT_INTERVAL, HEARTBEAT_TIME_TO_LIVE, beat, heartbeat_file

KEY_PREFIX = "homeport:worker:"

log = structlog.get_logger(__name__)


class HeartbeatStep(TimerStep):
    """Beats while the consumer runs: no connection, no consumer, no heartbeat."""

    requires = {"celery.worker.consumer.tasks:Tasks"}
    interval = HEARTBEAT_INTERVAL

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.key = KEY_PREFIX + socket.gethostname()

    def start(self, consumer: Any) -> None:
        self.tick(consumer)
        super().start(consumer)

    def shutdown(self, consumer: Any) -> None:
        self.stop(consumer)
        heartbeat_file().unlink(missing_ok=True)
        try:
            broker().delete(self.key)
        except redis.RedisError as error:
            log.warning("heartbeat not withdrawn", error=str(error))

    def tick(self, consumer: Any) -> None:
        try:
            leave(self.key, HEARTBEAT_TIME_TO_LIVE)
        except redis.RedisError as error:
            log.warning("heartbeat failed", error=str(error))
        else:
            beat()


def leave(key: str, seconds: int) -> None:
    """Leave a sign of life in the broker, good for so long and until the broker restarts."""
    broker().set(key, _start_of_broker(), ex=seconds)


def valid(keys: Iterable[str]) -> list[str]:
    """Return those of `keys` that still are a sign of life. Raises redis.RedisError."""
    keys = list(keys)
    values = broker().mget(keys) if keys else []
    now = _start_of_broker() if any(values) else ""
    return [key for key, value in zip(keys, values, strict=True) if value == now.encode()]


def active_workers() -> list[str]:
    """Return the host names of the workers heard from in the last `HEARTBEAT_TIME_TO_LIVE` seconds.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    keys = broker().scan_iter(match=f"{KEY_PREFIX}*", count=1000)
    found = valid(key.decode() for key in keys)
    return sorted(key.removeprefix(KEY_PREFIX) for key in found)


def _start_of_broker() -> str:
    """Return an identifier that each start of the broker chooses: `run_id` of INFO."""
    return str(broker().info("server")["run_id"])
