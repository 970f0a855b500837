"""The worker's sign of life, cheap enough to read every few seconds.

While the worker is connected to its broker it renews, every few seconds, a file for its
container's health check (core/liveness.py) and a key in the broker for /api/v1/health/.
"""

import socket
import time
from typing import Any

import redis
import structlog
from celery import bootsteps

from core.liveness import HEARTBEAT_INTERVAL, HEARTBEAT_TIME_TO_LIVE, beat, heartbeat_file

KEY_PREFIX = "homeport:worker:"

log = structlog.get_logger(__name__)


class HeartbeatStep(bootsteps.StartStopStep):
    """Beats while the consumer runs: no connection, no consumer, no heartbeat.

    Source: https://docs.celeryq.dev/en/stable/userguide/extending.html#consumer
    """

    requires = {"celery.worker.consumer.tasks:Tasks"}

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.key = KEY_PREFIX + socket.gethostname()
        self.timer_entry = None
        self.client: redis.Redis | None = None

    def start(self, consumer: Any) -> None:
        self.client = redis.Redis.from_url(
            consumer.app.conf.broker_url, socket_connect_timeout=1, socket_timeout=1
        )
        self.beat()
        self.timer_entry = consumer.timer.call_repeatedly(HEARTBEAT_INTERVAL, self.beat)

    def stop(self, consumer: Any) -> None:
        if self.timer_entry is not None:
            self.timer_entry.cancel()
            self.timer_entry = None

    def shutdown(self, consumer: Any) -> None:
        self.stop(consumer)
        heartbeat_file().unlink(missing_ok=True)
        if self.client is None:  # stopped before it started
            return
        try:
            self.client.delete(self.key)
        except redis.RedisError as error:
            log.warning("heartbeat not withdrawn", error=str(error))

    def beat(self) -> None:
        try:
            self.client.set(self.key, time.time(), ex=HEARTBEAT_TIME_TO_LIVE)
        except redis.RedisError as error:
            log.warning("heartbeat failed", error=str(error))
        else:
            beat()


def living_workers(client: redis.Redis) -> list[str]:
    """Return the host names of the workers heard from in the last `HEARTBEAT_TIME_TO_LIVE` seconds.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    keys = client.scan_iter(match=f"{KEY_PREFIX}*", count=1000)
    return sorted(key.decode().removeprefix(KEY_PREFIX) for key in keys)
