"""The page of schedules and tasks: what runs, waits, is tried again or failed.

Sending again and ending ask first, on a page of their own: they work without JavaScript.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from core.celery import task_list
from workbench.readings import Reading

# What is asked, what is done, and what follows from it.
ACTIONS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "send": ("Send this task again?", task_list.send_again, "It runs as new, in the same tenant."),
    "end": ("End this task?", task_list.end, "Its process is ended; the task does not run again."),
    "forget": ("Forget this task?", task_list.forget, "It is removed from the list, and lost."),
}

TASKS: Reading[dict[str, Any]] = Reading(task_list.read, keep=1)


@require_safe
@never_cache
def tasks(request: HttpRequest) -> HttpResponse:
    """Show all tasks and schedules."""
    return render(request, "workbench/tasks.html", _context())


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def act(request: HttpRequest, task_id: str, action: str) -> HttpResponse:
    """Ask whether to send a task again, end or forget it; do that when the answer is yes."""
    if action not in ACTIONS:
        raise Http404("This cannot be done with a task.")
    question, do, outcome = ACTIONS[action]
    context = _context() | {"question": question, "outcome": outcome, "action": action}
    try:
        context["task"] = task_list.find(task_id)
        if request.method == "POST":
            do(task_id)
            return redirect("workbench-tasks")
    except (task_list.TaskError, redis.RedisError) as error:
        context["error"] = str(error)
        return render(request, "workbench/ask.html", context, status=409)
    return render(request, "workbench/ask.html", context)


def _context() -> dict[str, Any]:
    return {"known": TASKS.known(), "stack": settings.STACK_NAME}
