"""Tasks that a worker had taken when it died go back to their queue.

Redis knows nothing of consumers. Kombu keeps what they have taken in one hash, and gives back what
has been there longer than the visibility timeout: too late for what a dead worker left, too early
for a task that waits for its countdown. So each worker here has a hash by its name, which Celery
wants to be unique, and a lease that it renews while it lives:

- at its start, no process works on the entries of its hash. A restarted container keeps its name;
- what is in the hash of a worker without a lease is given back by the others.

A task may therefore run twice, as ever with late acknowledgement: see CELERY_TASK_ACKS_LATE.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import redis
import structlog
from celery import bootsteps, signals
from kombu.transport.redis import QoS

from core.celery.broker import broker
from core.celery.timer import TimerStep

# Kombu's own names, for what workers of an earlier release have taken, with ours behind them.
TAKEN = "unacked"
WHEN_TAKEN = "unacked_index"
LEASE = "homeport:lease:"
LEASE_LASTS = 30  # seconds after a worker's last sign of life until others take what it had
RENEW_INTERVAL = 5  # seconds
POLL_INTERVAL = 10  # seconds between two looks at what others left

log = structlog.get_logger(__name__)


def count_taken() -> int:
    """Return how many tasks the workers have taken and not yet done.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    client = broker()
    return sum(client.zcard(index) for index in _indexes(client))


def living_workers() -> list[str]:
    """Return the names of the workers that have a lease.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    keys = broker().scan_iter(match=f"{LEASE}*", count=1000)
    return sorted(key.decode().removeprefix(LEASE) for key in keys)


@signals.celeryd_init.connect
def keep_under_own_name(sender: str, conf: Any, **kwargs: Any) -> None:
    """Let this worker, named `sender`, keep what it takes apart from what others do."""
    conf.broker_transport_options = {
        **conf.broker_transport_options,
        "unacked_key": f"{TAKEN}:{sender}",
        "unacked_index_key": f"{WHEN_TAKEN}:{sender}",
        "unacked_mutex_key": f"unacked_mutex:{sender}",
    }


class LeaseStep(bootsteps.StartStopStep):
    """Renews this worker's lease for as long as its process lives.

    A step of the worker with its own thread, because consumer and timer stop before the tasks
    that still run. It starts before the consumer, which is the last step.
    """

    requires = {"celery.worker.components:Pool"}

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.name = worker.hostname

    def start(self, worker: Any) -> None:
        self.renew()
        threading.Thread(target=self._renew_on, name="lease", daemon=True).start()

    def _renew_on(self) -> None:
        while True:
            time.sleep(RENEW_INTERVAL)
            self.renew()

    def renew(self) -> None:
        try:
            broker().set(LEASE + self.name, "alive", ex=LEASE_LASTS)
        except redis.RedisError as error:
            log.warning("lease not renewed", error=str(error))


class RequeueStep(TimerStep):
    """Requeues what this worker had taken before it takes anything, and looks at others'.

    Also after a lost connection: Celery has then cancelled what was running.
    """

    interval = POLL_INTERVAL

    def start(self, consumer: Any) -> None:
        with consumer.app.connection_for_write() as connection:
            channel = connection.default_channel
            _requeue(channel, channel.unacked_index_key)
        super().start(consumer)

    def tick(self, consumer: Any) -> None:
        """Requeue what workers without a lease have taken."""
        try:
            with consumer.app.connection_for_write() as connection:
                channel = connection.default_channel
                for index in _indexes(channel.client):
                    if not _is_leased(channel.client, index):
                        _requeue(channel, index)
        except consumer.connection_errors as error:
            log.warning("not looked for unfinished tasks", error=str(error))


def _indexes(client: redis.Redis) -> Iterator[str]:
    """Yield the keys that hold when tasks were taken."""
    for key in client.scan_iter(match=f"{WHEN_TAKEN}*", count=1000):
        yield key.decode()


def _is_leased(client: redis.Redis, index: str) -> bool:
    return bool(client.exists(LEASE + index.removeprefix(f"{WHEN_TAKEN}:")))


def _requeue(channel: Any, index: str) -> None:
    """Put back into their queues the tasks of `index`.

    Each moves in one transaction, so that two who try give it back once.
    """
    qos = QoS(channel)
    qos.unacked_index_key = index
    qos.unacked_key = TAKEN + index.removeprefix(WHEN_TAKEN)
    tags = channel.client.zrange(index, 0, -1)
    for tag in tags:
        qos.restore_by_tag(tag)
    if tags:
        log.warning("unfinished tasks given back", number=len(tags), of=qos.unacked_key)
