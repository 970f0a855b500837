"""A step of the consumer that is called at an interval.

https://docs.celeryq.dev/en/stable/userguide/extending.html#consumer
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps


class TimerStep(bootsteps.StartStopStep):
    """Calls `tick` every `interval` seconds while the consumer is connected to its broker."""

    requires = {"celery.worker.consumer.connection:Connection"}
    interval: float

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.timer_entry: Any = None

    def start(self, consumer: Any) -> None:
        self.timer_entry = consumer.timer.call_repeatedly(self.interval, self.tick, (consumer,))

    def stop(self, consumer: Any) -> None:
        if self.timer_entry is not None:
            self.timer_entry.cancel()
            self.timer_entry = None

    def tick(self, consumer: Any) -> None:
        raise NotImplementedError
