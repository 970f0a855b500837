"""Periodic tasks, sent by the workers: no scheduler process (Celery beat) is needed.

However many workers there are, one of them sends: the first to set a key in the broker.
"""

from __future__ import annotations

from typing import Any

import redis
import structlog

from core.celery.broker import broker
from core.celery.timer import TimerStep

INTERVAL = 1800  # seconds between two times
POLL_INTERVAL = 60  # seconds between two looks at whether it is time
KEY = "homeport:periodic"

log = structlog.get_logger(__name__)
_names: set[str] = set()


def periodic(name: str) -> str:
    """Send the task of this name, without arguments and outside any tenant, every INTERVAL."""
    _names.add(name)
    return name


class PeriodicStep(TimerStep):
    """Sends what is due while the worker is connected to its broker."""

    interval = POLL_INTERVAL

    def tick(self, consumer: Any) -> None:
        send_due(consumer.app)


def send_due(app: Any) -> None:
    """Send the periodic tasks, unless some worker has sent them within INTERVAL."""
    try:
        if broker().set(KEY, "sent", nx=True, ex=INTERVAL):
            for name in sorted(_names):
                app.send_task(name)
    except (redis.RedisError, *app.connection_for_write().connection_errors) as error:
        log.warning("periodic tasks not sent", error=str(error))
