from django.contrib import admin

from development.notes.models import Note


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    list_display = ["title", "user", "words", "created_at"]
    list_filter = ["created_at"]
    list_select_related = ["user"]
    search_fields = ["title", "text", "user__email"]
    autocomplete_fields = ["user"]
    readonly_fields = ["words", "created_at"]
