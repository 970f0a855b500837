"""Addresses of a developer's machine: the workbench at /, then those of every tenant."""

from django.urls import path

from core.urls import handler400, handler403, handler404, handler500, urlpatterns
from workbench import tasks, trace_pages, views

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    path("", views.home, name="workbench"),
    path("workbench/live/", views.live, name="workbench-live"),
    path("workbench/live/events/", views.events, name="workbench-events"),
    path("workbench/mail/<str:key>/", views.message, name="workbench-message"),
    path("workbench/mail/<str:key>/html/", views.message_html, name="workbench-message-html"),
    path("workbench/tasks/", tasks.tasks, name="workbench-tasks"),
    path("workbench/tasks/<str:task_id>/<str:action>/", tasks.act, name="workbench-task"),
    path("workbench/traces/", trace_pages.trace_list, name="workbench-traces"),
    path("workbench/traces/<str:trace_id>/", trace_pages.trace_page, name="workbench-trace"),
    path(
        "workbench/traces/<str:trace_id>/plan/<str:span_id>/",
        trace_pages.plan_page,
        name="workbench-plan",
    ),
    *urlpatterns,
]
