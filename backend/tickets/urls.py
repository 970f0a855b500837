"""Addresses of tickets."""

from django.urls import path

from tickets.views import (
    AnswerView,
    AttachmentView,
    CloseView,
    TicketDetailView,
    TicketListView,
)

urlpatterns = [
    path("", TicketListView.as_view(), name="ticket-list"),
    path("<int:pk>/", TicketDetailView.as_view(), name="ticket-detail"),
    path("<int:pk>/answers/", AnswerView.as_view(), name="ticket-answers"),
    path("<int:pk>/close/", CloseView.as_view(), name="ticket-close"),
    path("attachments/<int:pk>/", AttachmentView.as_view(), name="ticket-attachment"),
]
