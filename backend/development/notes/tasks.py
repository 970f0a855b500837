"""What the worker does."""

from core.celery import app
from core.celery.periodic import periodic
from development.notes import services


@app.task(name=services.COUNT_WORDS)
def count_words(note_id: int) -> None:
    """Count the words of one row."""
    services.count_words(note_id)


@app.task(name=periodic(services.COUNT_MISSING_WORDS))
def count_missing_words() -> None:
    """Run by a worker every half an hour, outside of any tenant."""
    services.count_missing_words()
