"""Tasks that a worker had taken when it died: its next start gives them back to their queue.

Redis knows nothing of consumers. What one has taken is kept in a hash that all of them share,
and goes back when it has been there longer than any task may take, the visibility timeout. So
each worker here has a hash by its name, which Celery wants to be unique: at its start whatever
is in it belongs to nobody. A container that is started again keeps its name. What a worker left
that never comes back is given back by the others, after the visibility timeout as before.

A task may therefore run twice, as ever with late acknowledgement: see CELERY_TASK_ACKS_LATE.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import redis
import structlog
from celery import bootsteps, signals
from kombu.transport.redis import QoS

# Kombu's own names, for what workers of an earlier release have taken, with ours behind them.
TAKEN = "unacked"
WHEN_TAKEN = "unacked_index"
LOOK_INTERVAL = 60  # seconds between two looks at what others left

log = structlog.get_logger(__name__)


def count_taken(client: redis.Redis) -> int:
    """Return how many tasks the workers have taken and not yet done.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    return sum(client.zcard(index) for index in _indexes(client))


@signals.celeryd_init.connect
def keep_under_own_name(sender: str, conf: Any, **kwargs: Any) -> None:
    """Let this worker, named `sender`, keep what it takes apart from what others do."""
    conf.broker_transport_options = {
        **conf.broker_transport_options,
        "unacked_key": f"{TAKEN}:{sender}",
        "unacked_index_key": f"{WHEN_TAKEN}:{sender}",
        "unacked_mutex_key": f"unacked_mutex:{sender}",
    }


class GiveBackStep(bootsteps.StartStopStep):
    """Gives back what this worker had taken before it takes anything, and looks at others'.

    Also after a lost connection: Celery has then cancelled what was running.
    """

    requires = {"celery.worker.consumer.connection:Connection"}

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.timer_entry = None

    def start(self, consumer: Any) -> None:
        with consumer.app.connection_for_write() as connection:
            channel = connection.default_channel
            _give_back(channel, channel.unacked_index_key, until=time.time())
        self.timer_entry = consumer.timer.call_repeatedly(LOOK_INTERVAL, self.look, (consumer,))

    def look(self, consumer: Any) -> None:
        """Give back what has been taken for too long, by whichever worker."""
        try:
            with consumer.app.connection_for_write() as connection:
                channel = connection.default_channel
                for index in _indexes(channel.client):
                    _give_back(channel, index, until=time.time() - channel.visibility_timeout)
        except consumer.connection_errors as error:
            log.warning("not looked for unfinished tasks", error=str(error))

    def stop(self, consumer: Any) -> None:
        if self.timer_entry is not None:
            self.timer_entry.cancel()
            self.timer_entry = None


def _indexes(client: redis.Redis) -> Iterator[str]:
    """Yield the keys that hold when tasks were taken."""
    for key in client.scan_iter(match=f"{WHEN_TAKEN}*", count=1000):
        yield key.decode()


def _give_back(channel: Any, index: str, until: float) -> None:
    """Put back into their queues the tasks of `index` that were taken before `until`.

    Each moves in one transaction, so that two who try give it back once.
    """
    qos = QoS(channel)
    qos.unacked_index_key = index
    qos.unacked_key = TAKEN + index.removeprefix(WHEN_TAKEN)
    tags = channel.client.zrangebyscore(index, 0, until)
    for tag in tags:
        qos.restore_by_tag(tag)
    if tags:
        log.warning("unfinished tasks given back", number=len(tags), of=qos.unacked_key)
