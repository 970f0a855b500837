"""A file goes with its attachment, however that is deleted."""

from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from tickets.models import Attachment


@receiver(post_delete, sender=Attachment)
def delete_file(instance: Attachment, **kwargs: Any) -> None:
    storage, name = instance.file.storage, str(instance.file.name)
    transaction.on_commit(lambda: storage.delete(name), robust=True)
