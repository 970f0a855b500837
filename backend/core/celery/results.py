"""Results of tasks in Redis, without a subscription for each task that is sent."""

from __future__ import annotations

from celery.backends.redis import RedisBackend

from core.redis_pool import Pool


class Backend(RedisBackend):
    ConnectionPool = Pool

    def on_task_call(self, producer: object, task_id: str) -> None:
        """Leave out what Celery does here: subscribe to the result of a task as it is sent.

        Hardly any sender reads a result, and `get` subscribes by itself. Each thread that sends
        would hold a connection, with answers of Redis that nothing reads.
        """
