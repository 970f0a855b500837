"""The Celery application; tasks run in the tenant that sent them.

https://docs.celeryq.dev/en/stable/django/first-steps-with-django.html
"""

import gc
import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import structlog
from celery import signals
from celery.exceptions import Reject
from django.core.exceptions import ObjectDoesNotExist
from django.db import Error as DatabaseError
from django.db import connection
from django_structlog.celery.steps import DjangoStructLogInitStep
from tenant_schemas_celery.app import CeleryApp, get_schema_name_from_task
from tenant_schemas_celery.cache import SimpleCache
from tenant_schemas_celery.task import TenantTask

from core import tracing
from core.celery import failed_tasks, kept_connections, warm_stop  # noqa: F401  connect receivers
from core.celery.beat import BeatStep
from core.celery.figures import SENT_AT
from core.celery.heartbeat import HeartbeatStep
from core.celery.requeue import LeaseStep, RequeueStep
from core.celery.stopped_tasks import TRIES, counted, remedy
from core.database_limits import limit_sessions
from core.env import environment_or_exit
from core.errors.unavailable import is_lock_failure, is_lost_connection

env = environment_or_exit()
# Celery prefers its own reading of these to the settings, and Compose gives them no password.
os.environ.update({name: env[name] for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND")})

REQUEUE_DELAY = 2  # seconds before a task that met no database, or a lock, may be taken again

log = structlog.get_logger(__name__)


# The message's header with the identity of the tenant that sent it: the library's has its name,
# which another tenant may have by now. It begins as that one does: stopped_tasks.py keeps both,
# to send a stopped task again as its tenant's.
SENDER = "_tenant_identity"


# Tenants by name, for CELERY_TASK_TENANT_CACHE_SECONDS: what the library's look-ups found.
_remembered: dict[str, Any] = {}


def _signed(headers: dict[str, Any] | None) -> dict[str, Any]:
    """Return a message's headers with the identity of the tenant that sends it, and the time."""
    # A retry has the headers of its task, and is sent later.
    return {SENDER: connection.tenant_identity, **(headers or {}), SENT_AT: time.time()}


class Task(TenantTask):
    """A task that runs in the tenant that sent it, or not at all, and waits for database and locks.

    The library changes schema in a signal handler, whose exceptions Celery only logs: a task
    of a tenant that is gone would run in the public schema.
    """

    abstract = True

    @classmethod
    def tenant_cache(cls) -> SimpleCache:
        return SimpleCache(_remembered)

    # The schema to return to. The library keeps it on the task, which all threads share.
    @property
    def _old_schema(self) -> tuple[str, bool]:
        return self.request.old_schema

    @_old_schema.setter
    def _old_schema(self, schema: tuple[str, bool]) -> None:
        self.request.old_schema = schema

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return super().apply(args, kwargs, **options | {"headers": _signed(options.get("headers"))})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with counted(self.name, self.request, args, kwargs) as allowed:
            if not allowed:
                raise Reject(f"it ended its process {TRIES} times: {remedy()}")
            return self._run_in_tenant(*args, **kwargs)

    def _run_in_tenant(self, *args: Any, **kwargs: Any) -> Any:
        try:
            self._enter_tenant(get_schema_name_from_task(self, kwargs))
            tracing.tag_tenant()
            return super().__call__(*args, **kwargs)
        except DatabaseError as error:
            if not (is_lost_connection(error) or is_lock_failure(error)):
                raise
            log.warning("task goes back to the queue", task=self.name, error=str(error).strip())
            time.sleep(REQUEUE_DELAY)
            raise Reject(str(error), requeue=True) from error

    def _enter_tenant(self, wanted: str | None) -> None:
        if not wanted or self._is_in(wanted):
            return
        # What is remembered may be the tenant that had the name before. Or the database was away
        # when the library looked for it, which only logs that.
        _remembered.pop(wanted, None)
        connection.set_schema_to_public()
        try:
            connection.set_tenant(self.get_tenant_for_schema(wanted))
            found = self._is_in(wanted)
        except ObjectDoesNotExist:
            found = False
        if not found:
            connection.set_schema_to_public()
            raise LookupError(f"no tenant {wanted!r} for task {self.name}")

    def _is_in(self, wanted: str) -> bool:
        """Return whether the connection is in the tenant that sent the task, and it is there."""
        if wanted != connection.schema_name or not connection.is_tenant_there():
            return False
        # Messages of older code carry no identity.
        sender = (self.request.headers or {}).get(SENDER) or self.request.get(SENDER)
        return not sender or sender == connection.tenant_identity


class App(CeleryApp):
    """Signs every message with its tenant."""

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        signed = options | {"headers": _signed(options.get("headers"))}
        with tracing.unleaked():
            return super().send_task(name, args=args, kwargs=kwargs, **signed)


app = App("homeport", task_cls=Task)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.loader.override_backends = dict.fromkeys(("redis", "rediss"), "core.celery.results:Backend")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)
app.steps["worker"].add(LeaseStep)
app.steps["worker"].add(BeatStep)
app.steps["consumer"].add(HeartbeatStep)
app.steps["consumer"].add(RequeueStep)


@cache
def registered_tasks() -> Mapping[str, Task]:
    """Return every task by its name. Only a worker has loaded them all by itself."""
    app.loader.import_default_modules()
    return app.tasks


def send_task(name: str, *args: object) -> None:
    """Queue the task that is registered under this name.

    For services: tasks import them, so they cannot import tasks.
    """
    registered_tasks()[name].delay(*args)


@signals.celeryd_init.connect
def refuse_an_unsafe_environment(**kwargs: Any) -> None:
    """End a worker's start when it has more rights in the database than production allows."""
    environment_or_exit(serves=True)


@signals.setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """Keep the log that Django configured: a receiver stops Celery from making its own."""


@signals.worker_init.connect
def limit_database_sessions(**kwargs: Any) -> None:
    """Give this worker, and the processes that it forks, the limits of a worker."""
    limit_sessions(env["WORKER_DATABASE_LIMITS"])


@signals.worker_before_create_process.connect
def share_memory(**kwargs: Any) -> None:
    """Leave what is loaded out of garbage collections: each would copy the memory it shares."""
    gc.freeze()


@signals.worker_process_init.connect
def count_tasks(**kwargs: Any) -> None:
    tracing.start_metrics()


@signals.worker_process_shutdown.connect
def hand_over_traces(**kwargs: Any) -> None:
    tracing.flush()


@signals.worker_ready.connect
def observe_the_whole(**kwargs: Any) -> None:
    tracing.observe()


@signals.worker_ready.connect
def say_what_is_reached(sender: Any, **kwargs: Any) -> None:
    """Log the queues listened on and whether the database answers."""
    queues = sorted(sender.app.amqp.queues.consume_from)
    log.info("listening", queues=queues, broker=sender.connection.as_uri())
    try:
        connection.ensure_connection()
        log.info("database reached", host=connection.settings_dict["HOST"])
    except DatabaseError as error:
        log.error("database not reached", error=str(error))
    finally:
        connection.close()


@app.task(name="core.echo")
def echo(message: str) -> dict[str, str]:
    """Return the message and the tenant the task ran in; shows that the worker works."""
    return {"message": message, "tenant": connection.schema_name}
