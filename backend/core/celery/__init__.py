"""The Celery application, and what its workers do beside running tasks."""

from core.env import environment_or_exit

environment_or_exit()  # before imports that read settings: it names faults without a traceback

from core.celery.application import SENDER, Task, app, echo, send_task  # noqa: E402

__all__ = ["SENDER", "Task", "app", "echo", "send_task"]
