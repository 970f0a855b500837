"""The state of the queue and of the workers, as figures."""

from __future__ import annotations

import json
import time
from typing import Any

from django.conf import settings

from core.celery.broker import broker
from core.celery.queue import count_waiting
from core.celery.requeue import count_taken
from core.env import environment
from core.gauges import Values, gauge

SENT_AT = "sent_at"  # header of each message: seconds since the epoch


@gauge("homeport.queue.length", "{task}", "Tasks that wait for a worker.")
def length() -> Values:
    yield count_waiting(), {"queue": settings.CELERY_TASK_DEFAULT_QUEUE}


@gauge("homeport.queue.age", "s", "How long the task has waited that is taken next.")
def age() -> Values:
    queue = settings.CELERY_TASK_DEFAULT_QUEUE
    oldest: Any = broker().lindex(queue, -1)
    sent = json.loads(oldest)["headers"].get(SENT_AT) if oldest else None
    yield (max(0.0, time.time() - sent) if sent else 0.0), {"queue": queue}


@gauge("homeport.tasks.taken", "{task}", "Tasks that workers have taken and not done.")
def taken() -> Values:
    yield count_taken(), {}


@gauge("homeport.worker.pool", "{process}", "Processes of this worker that run tasks.")
def pool() -> Values:
    yield environment()["WORKER_CONCURRENCY"], {}
