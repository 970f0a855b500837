"""Tasks that are sent again and again, by the workers themselves: no process more to look after.

However many workers there are, one of them sends: the first to leave a note in the broker.
"""

from __future__ import annotations

from typing import Any

import redis
import structlog
from celery import bootsteps

INTERVAL = 1800  # seconds between two times
LOOK_INTERVAL = 60  # seconds between two looks at whether it is time
NOTE = "homeport:recurring"

log = structlog.get_logger(__name__)
_names: set[str] = set()


def recurring(name: str) -> str:
    """Send the task of this name, without arguments and outside any tenant, every INTERVAL."""
    _names.add(name)
    return name


class RecurringStep(bootsteps.StartStopStep):
    """Sends what is due while the worker is connected to its broker."""

    requires = {"celery.worker.consumer.connection:Connection"}

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.timer_entry = None

    def start(self, consumer: Any) -> None:
        self.timer_entry = consumer.timer.call_repeatedly(LOOK_INTERVAL, send_due, (consumer.app,))

    def stop(self, consumer: Any) -> None:
        if self.timer_entry is not None:
            self.timer_entry.cancel()
            self.timer_entry = None


def send_due(app: Any) -> None:
    """Send the recurring tasks, unless some worker has sent them within INTERVAL."""
    try:
        with redis.Redis.from_url(
            app.conf.broker_url, socket_connect_timeout=1, socket_timeout=1
        ) as client:
            if client.set(NOTE, "sent", nx=True, ex=INTERVAL):
                for name in sorted(_names):
                    app.send_task(name)
    except (redis.RedisError, *app.connection_for_write().connection_errors) as error:
        log.warning("recurring tasks not sent", error=str(error))
