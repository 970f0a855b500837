"""What the worker does."""

from core.celery import app
from development.notes import services


@app.task(name=services.COUNT_WORDS)
def count_words(note_id: int) -> None:
    """Count the words of one row."""
    services.count_words(note_id)


@app.task(name=services.COUNT_MISSING_WORDS)
def count_missing_words() -> None:
    """Run in every active tenant at the times that CELERY_BEAT_SCHEDULE has."""
    services.count_missing_words()
