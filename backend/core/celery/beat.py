"""Celery's beat: sends the tasks of CELERY_BEAT_SCHEDULE, in every worker, each time once.

Each worker runs the scheduler in a thread, so that no process is added and none is the only one;
`celery --app core beat` runs the same one. However many there are, a time is sent once: Redis keeps
each schedule's last time, and whom the task was sent to since then. So one that ended half-way is
followed by another, and an entry whose time passed while none ran is sent once when one does.

An entry is Celery's own with the key `tenant_schemas`, as in tenant-schemas-celery: without it it
is for every active tenant, else for those of the list that are active; `["public"]` is once outside
of any. That library's schedulers also send to suspended tenants, and keep the last times in the
file of one process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, cast

import redis
import structlog
from celery import beat, bootsteps
from django.db import connections
from django_tenants.utils import (
    get_public_schema_name,
    get_tenant_model,
    schema_context,
    tenant_context,
)

from core.celery.broker import broker
from core.celery.heartbeat import leave, valid

LAST = "homeport:beat:last"  # name of a schedule: when it was last sent, ISO 8601
_NOT_SENT = "since "  # before the time from which a new one waits
_SENT = "homeport:beat:sent:"  # and its name: whom its task was sent to since then
ALIVE = "homeport:beat:alive"
POLL_INTERVAL = 20  # seconds between two looks at what is due, at most
RETRY_INTERVAL = 5  # seconds until what could not be sent is tried again
_TIME_TO_LIVE = 3 * POLL_INTERVAL
_SENT_EXPIRES = 86400  # seconds without another one

# Only while the time that is sent for is the last known: else another scheduler has sent it.
_CLAIM = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('EXPIRE', KEYS[2], ARGV[4])
return redis.call('SADD', KEYS[2], ARGV[3])
"""
_FINISH = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return redis.call('DEL', KEYS[2])
"""

log = structlog.get_logger(__name__)


class Schedule(beat.ScheduleEntry):
    """A schedule of CELERY_BEAT_SCHEDULE, and to whom it is sent: see `tenant_schemas` above."""

    def __init__(self, *, tenant_schemas: Sequence[str] | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        self.tenant_schemas = tenant_schemas
        self.last = _NOT_SENT + self.default_now().isoformat()  # as Redis has it

    def take(self, last: str) -> None:
        """Go on from the time when it was last sent by any scheduler."""
        self.last = last
        self.last_run_at = datetime.fromisoformat(last.removeprefix(_NOT_SENT))

    @property
    def last_time(self) -> str | None:
        """When it was last sent, as ISO 8601; None if it never was."""
        return None if self.last.startswith(_NOT_SENT) else self.last

    def next_time(self) -> datetime:
        """Return when it is due, to the second; it may be in the past."""
        now = self.default_now() + timedelta(milliseconds=500)
        due = now + self.schedule.remaining_estimate(self.last_run_at)
        return cast(datetime, due.replace(microsecond=0))


class Scheduler(beat.Scheduler):
    """Sends what is due. Any number of them may run."""

    Entry = Schedule

    def merge_inplace(self, b: Mapping[str, Mapping[str, Any]]) -> None:
        """Take the entries of the settings. The name of one without `task` is its task's."""
        super().merge_inplace({name: {"task": name, **entry} for name, entry in b.items()})

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return the seconds until the next look."""
        entries = list(self.schedule.values())
        try:
            leave(ALIVE, _TIME_TO_LIVE)
            for entry, last in zip(entries, read_last(entries), strict=True):
                entry.take(last)
            return min([POLL_INTERVAL, *map(self._seconds_after, entries)])
        except redis.RedisError as error:
            log.warning("schedules not read", error=str(error))
            return RETRY_INTERVAL
        finally:
            _close_connections()

    def _seconds_after(self, entry: Schedule) -> float:
        """Send the entry if it is due; return the seconds until it is due again."""
        try:
            is_due, seconds = entry.is_due()
            if is_due:
                self.apply_entry(entry)
        except Exception as error:  # one that fails must not keep the others from being sent
            log.warning("schedule not sent", schedule=entry.name, error=str(error).strip())
            return RETRY_INTERVAL
        return float(seconds)

    def apply_entry(self, entry: Schedule, producer: Any = None) -> None:
        """Send the task to everyone it is for, and remember when.

        Raises:
            Exception: what kept it from being sent to someone, who is not remembered.
        """
        keys = (LAST, _SENT + entry.name)
        due, began, number = entry.last, entry.default_now().isoformat(), 0
        for identity, place in _places(entry.tenant_schemas):
            if not _run(_CLAIM, keys, entry.name, due, identity, _SENT_EXPIRES):
                continue
            try:
                with place:
                    self.apply_async(entry, advance=False)
            except Exception:
                broker().srem(keys[1], identity)
                raise
            number += 1
        if _run(_FINISH, keys, entry.name, due, began):
            log.info("schedule sent", schedule=entry.name, task=entry.task, messages=number)


def _close_connections() -> None:
    """Close this thread's connections to the database: the next look may be long after this."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _places(schemas: Sequence[str] | None) -> Iterator[tuple[str, AbstractContextManager[Any]]]:
    """Yield what tells a recipient from all others, and what enters it."""
    public = get_public_schema_name()
    if schemas is not None and public in schemas:
        yield public, schema_context(public)
    with schema_context(public):  # no tenant may see the others
        active = get_tenant_model().objects.filter(is_active=True)
        found = list(active if schemas is None else active.filter(schema_name__in=schemas))
    for tenant in found:
        yield str(tenant.identity), tenant_context(tenant)


def _run(script: str, keys: tuple[str, str], *arguments: object) -> Any:
    return broker().eval(script, len(keys), *keys, *map(str, arguments))


def read_last(entries: Sequence[Schedule]) -> list[str]:
    """Return when each was last sent; one that never was waits for its first time from now on.

    Raises:
        redis.RedisError: when the broker does not answer.
    """
    if not entries:
        return []
    with broker().pipeline() as pipe:
        for entry in entries:
            pipe.hsetnx(LAST, entry.name, entry.last)
        pipe.hmget(LAST, [entry.name for entry in entries])
        return [last.decode() for last in pipe.execute()[-1]]


def runs() -> bool:
    """Tell whether some scheduler was heard from in the last minute. Raises redis.RedisError."""
    return bool(valid([ALIVE]))


class BeatStep(bootsteps.StartStopStep):
    """Runs the scheduler in a thread of the worker, beside the processes that run its tasks."""

    requires = {"celery.worker.components:Pool"}

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, worker: Any) -> None:
        scheduler = Scheduler(worker.app)
        self._thread = threading.Thread(
            target=self._run, args=(scheduler,), name="beat", daemon=True
        )
        self._thread.start()

    def stop(self, worker: Any) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=RETRY_INTERVAL)  # it may be sending

    def _run(self, scheduler: Scheduler) -> None:
        while not self._ended.wait(scheduler.tick()):
            pass
