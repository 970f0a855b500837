"""The Celery application, and what its workers do beside running tasks."""

from core.celery.application import SENDER, Task, app, echo, send_task

__all__ = ["SENDER", "Task", "app", "echo", "send_task"]
