"""Addresses of a developer's machine: the workbench at /, then those of every tenant."""

from django.urls import include, path

from core.urls import handler400, handler403, handler404, handler500, urlpatterns
from workbench import tasks, trace_pages, views

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

pages = [
    path("live/", views.live, name="workbench-live"),
    path("live/events/", views.events, name="workbench-events"),
    path("mail/<str:key>/", views.message, name="workbench-message"),
    path("mail/<str:key>/html/", views.message_html, name="workbench-message-html"),
    path("tasks/", tasks.tasks, name="workbench-tasks"),
    path("tasks/<str:task_id>/<str:action>/", tasks.act, name="workbench-task"),
    path("traces/", trace_pages.trace_list, name="workbench-traces"),
    path("traces/<str:trace_id>/", trace_pages.trace_page, name="workbench-trace"),
    path("traces/<str:trace_id>/plan/<str:span_id>/", trace_pages.plan_page, name="workbench-plan"),
]

urlpatterns = [
    path("", views.home, name="workbench"),
    path("workbench/", include(pages)),
    *urlpatterns,
]
