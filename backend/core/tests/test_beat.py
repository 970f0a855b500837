"""Schedules are sent in the tenants they are for, each time once, however many schedulers run."""

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
from celery.beat import Service
from celery.schedules import crontab
from django.utils import timezone
from kombu.exceptions import OperationalError

from core.celery import SENDER, app, beat
from core.celery.broker import broker
from tenants.models import Tenant

pytestmark = pytest.mark.django_db

MINUTELY = {"task": "core.echo", "args": ("hello",), "schedule": crontab()}


@pytest.fixture
def schedules(monkeypatch):
    """Schedules of this test alone: `declare` them, `age` their last time, see who got `sent`."""
    name, queue = f"tests:{uuid4()}", f"beat-tests-{uuid4()}"
    monkeypatch.setattr(beat, "LAST", f"homeport:tests:last:{name}")
    monkeypatch.setattr(beat, "_SENT", f"homeport:tests:sent:{name}:")

    def declare(others=None, **entry):
        scheduler = beat.Scheduler(app, lazy=True)
        declared = {name: {**MINUTELY, "options": {"queue": queue}, **entry}}
        scheduler.merge_inplace({**(others or {}), **declared})
        return scheduler

    def age(by):
        """Let it have been sent last so long ago."""
        broker().hset(beat.LAST, name, (timezone.now() - by).isoformat())

    def sent():
        """Return whose messages were sent since the last call, and empty the queue."""
        headers = [json.loads(one)["headers"] for one in broker().lrange(queue, 0, -1)]
        broker().delete(queue)
        assert all(one["task"] == "core.echo" for one in headers)
        return Counter((one["_schema_name"], one[SENDER]) for one in headers)

    def last():
        return datetime.fromisoformat(broker().hget(beat.LAST, name).decode())

    yield SimpleNamespace(declare=declare, age=age, sent=sent, last=last, queue=queue, name=name)
    broker().delete(beat.LAST, beat._SENT + name, queue)


def of(*names):
    """Return one message of each tenant, with its identity."""
    found = {name: str(Tenant.objects.get(schema_name=name).identity) for name in names}
    return Counter(found.items())


DAY = timedelta(days=1)


def test_without_tenants_named_every_active_one_gets_it_once(schedules):
    scheduler = schedules.declare()
    schedules.age(DAY)
    scheduler.tick()
    scheduler.tick()
    assert schedules.sent() == of("test1", "test2")


def test_one_tenant_gets_it_if_it_alone_is_named(schedules):
    scheduler = schedules.declare(tenant_schemas=["test2", "nosuch"])
    schedules.age(DAY)
    scheduler.tick()
    assert schedules.sent() == of("test2")


def test_outside_of_any_tenant_it_is_sent_once(schedules):
    scheduler = schedules.declare(tenant_schemas=["public"])
    schedules.age(DAY)
    scheduler.tick()
    assert schedules.sent() == {("public", "public"): 1}


def test_a_suspended_and_a_new_tenant_count_from_the_next_time_on(schedules):
    scheduler = schedules.declare()
    Tenant.objects.filter(schema_name="test1").update(is_active=False)
    schedules.age(DAY)
    scheduler.tick()
    assert schedules.sent() == of("test2")

    Tenant.objects.filter(schema_name="test1").update(is_active=True)
    Tenant.objects.create(schema_name="test3", name="Third")
    schedules.age(DAY)
    scheduler.tick()
    assert schedules.sent() == of("test1", "test2", "test3")


def test_many_schedulers_at_once_send_each_time_once(schedules):
    schedulers = [schedules.declare() for _ in range(4)]
    # Threads do not see the transaction of this test.
    expected = of("test1", "test2")
    for _ in range(10):
        schedules.age(DAY)
        together = threading.Barrier(len(schedulers))

        def tick(scheduler, together=together):
            together.wait(30)
            scheduler.tick()

        threads = [threading.Thread(target=tick, args=(one,)) for one in schedulers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert schedules.sent() == expected


def test_times_that_passed_while_none_ran_are_made_up_for_once(schedules):
    schedules.declare()
    schedules.age(DAY)  # 1440 times
    scheduler = schedules.declare()
    scheduler.tick()
    assert schedules.sent() == of("test1", "test2")
    assert timezone.now() - schedules.last() < timedelta(minutes=1)


def test_a_time_that_is_missed_by_more_than_the_deadline_is_left_out(schedules, monkeypatch):
    monkeypatch.setitem(app.conf, "beat_cron_starting_deadline", 60)
    then = timezone.now() - timedelta(hours=2)
    scheduler = schedules.declare(schedule=crontab(minute=then.minute, hour=then.hour))
    schedules.age(timedelta(hours=3))
    scheduler.tick()
    assert schedules.sent() == {}


def test_a_new_schedule_waits_for_its_first_time(schedules):
    then = timezone.now() + timedelta(hours=1)
    scheduler = schedules.declare(schedule=crontab(minute=then.minute, hour=then.hour))
    assert 0 < scheduler.tick() <= beat.POLL_INTERVAL
    assert schedules.sent() == {}


def test_its_times_are_of_the_time_zone_of_the_settings(schedules, settings):
    scheduler = schedules.declare(schedule=crontab(hour=3, minute=0))
    (entry,) = scheduler.schedule.values()
    entry.take(datetime(2026, 1, 1, 12, tzinfo=UTC).isoformat())
    assert settings.CELERY_TIMEZONE == settings.TIME_ZONE == "UTC"
    assert abs(entry.next_time() - datetime(2026, 1, 2, 3, tzinfo=UTC)) < timedelta(seconds=5)


def test_while_the_broker_is_gone_nothing_is_lost_and_nothing_is_sent_twice(
    schedules, settings, monkeypatch
):
    scheduler = schedules.declare()
    schedules.age(DAY)
    there = settings.CELERY_BROKER_URL
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    assert scheduler.tick() == beat.RETRY_INTERVAL
    settings.CELERY_BROKER_URL = there

    # Gone again while it sends: after the first of two messages.
    send, sent = scheduler.apply_async, []

    def once(entry, **options):
        if sent:
            raise OperationalError("connection refused")
        sent.append(send(entry, **options))

    monkeypatch.setattr(scheduler, "apply_async", once)
    assert scheduler.tick() == beat.RETRY_INTERVAL

    schedules.declare().tick()  # another one, which sends the rest
    assert schedules.sent() == of("test1", "test2")


def test_a_schedule_that_cannot_be_sent_does_not_keep_the_others_from_being_sent(schedules):
    scheduler = schedules.declare({"broken": {"schedule": crontab(), "tenant_schemas": 5}})
    schedules.age(DAY)
    broker().hset(beat.LAST, "broken", (timezone.now() - DAY).isoformat())
    scheduler.tick()
    assert schedules.sent() == of("test1", "test2")


def test_every_schedule_of_the_settings_names_a_task_that_there_is(settings):
    app.loader.import_default_modules()
    for entry in beat.Scheduler(app).schedule.values():
        assert entry.task in app.tasks


def test_a_scheduler_shows_that_it_runs(schedules, monkeypatch):
    monkeypatch.setattr(beat, "ALIVE", f"homeport:tests:alive:{uuid4()}")
    scheduler = schedules.declare()
    assert not beat.runs()
    scheduler.tick()
    assert beat.runs()
    assert 0 < broker().ttl(beat.ALIVE) <= 3 * beat.POLL_INTERVAL
    broker().delete(beat.ALIVE)


def test_celerys_own_command_runs_the_same_scheduler(settings):
    scheduler = Service(app, scheduler_cls=settings.CELERY_BEAT_SCHEDULER).scheduler
    assert isinstance(scheduler, beat.Scheduler)


def test_a_worker_runs_a_scheduler_until_it_stops(monkeypatch):
    ticks = threading.Event()
    monkeypatch.setattr(beat.Scheduler, "tick", lambda scheduler: ticks.set() or 60)
    worker = SimpleNamespace(app=app, steps=[])
    step = beat.BeatStep(worker)
    step.start(worker)
    assert ticks.wait(30)
    step.stop(worker)
    assert not step._thread.is_alive()
