"""What a worker had taken when it died is requeued, once, and by whom it may be."""

from types import SimpleNamespace

import pytest
from celery.app.base import Celery
from django.conf import settings

from core.celery.requeue import (
    LEASE,
    LEASE_LASTS,
    LeaseStep,
    RequeueStep,
    count_taken,
    keep_under_own_name,
)

QUEUE = "requeue-tests"


def worker(name: str) -> Celery:
    """Return an application configured as that of the worker of this name."""
    app = Celery(name, broker=settings.CELERY_BROKER_URL, set_as_current=False)
    app.conf.task_default_queue = QUEUE
    app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    keep_under_own_name(f"test@{name}", app.conf)
    return app


@pytest.fixture
def channel():
    """A channel of the worker `dead`, which has taken one of two tasks and says no more."""
    app = worker("dead")
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        _empty(channel)
        for number in (1, 2):
            app.send_task("a.task", args=[number], connection=connection)
        assert channel.basic_get(QUEUE) is not None
        yield channel
        _empty(channel)
    channel.pool.disconnect()  # Celery opens one again as it closes the channel


def _empty(channel) -> None:
    names = (QUEUE, channel.unacked_key, channel.unacked_index_key, f"{LEASE}test@dead")
    channel.client.delete(*names)


def step_of(name: str) -> tuple[RequeueStep, SimpleNamespace]:
    app = worker(name)
    timer = SimpleNamespace(call_repeatedly=lambda *args: SimpleNamespace(cancel=lambda: None))
    consumer = SimpleNamespace(app=app, timer=timer, connection_errors=(OSError,))
    return RequeueStep(consumer), consumer


def waiting(channel) -> int:
    return channel.client.llen(QUEUE)


def test_what_is_taken_is_counted(channel):
    assert waiting(channel) == 1
    assert count_taken() >= 1
    assert channel.client.zcard("unacked_index:test@dead") == 1


def test_the_next_start_gives_it_back_at_once_and_only_once(channel):
    for _ in range(2):
        step, consumer = step_of("dead")
        step.start(consumer)
        assert waiting(channel) == 2
        assert channel.client.zcard("unacked_index:test@dead") == 0
        assert channel.client.hlen("unacked:test@dead") == 0


def lease_of(name: str) -> LeaseStep:
    step = LeaseStep(SimpleNamespace(hostname=f"test@{name}", app=worker(name)))
    step.start(SimpleNamespace(app=worker(name)))
    return step


def test_another_worker_leaves_alone_what_a_living_one_has_taken(channel):
    lease_of("dead")  # which it is not
    step, consumer = step_of("other")
    step.start(consumer)
    step.tick(consumer)
    assert waiting(channel) == 1
    assert 0 < channel.client.ttl(f"{LEASE}test@dead") <= LEASE_LASTS < 60


def test_another_worker_gives_back_what_one_without_a_lease_has_taken(channel):
    step, consumer = step_of("other")
    step.tick(consumer)
    step.tick(consumer)
    assert waiting(channel) == 2


def test_a_task_may_wait_for_its_countdown_as_long_as_it_says(channel):
    years = channel.visibility_timeout / 86400 / 365
    assert years > 50


def test_a_look_at_a_broker_that_is_down_does_no_harm():
    step, consumer = step_of("other")
    consumer.app.conf.broker_url = "redis://127.0.0.1:1/0"
    consumer.connection_errors = consumer.app.connection_for_write().connection_errors
    step.tick(consumer)
