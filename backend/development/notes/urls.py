"""Addresses below /api/v1/notes/."""

from django.urls import path

from development.notes.views import (
    NoteDetailView,
    NoteListView,
)

urlpatterns = [
    path("", NoteListView.as_view(), name="note-list"),
    path("<int:pk>/", NoteDetailView.as_view(), name="note-detail"),
]
