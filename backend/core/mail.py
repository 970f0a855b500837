"""What every message that is sent has in common."""

import hashlib
from email.utils import parseaddr

from django.conf import settings


def message_id(*parts: str) -> str:
    """Return a Message-ID that is always the same for these parts, which name one message.

    A task may run twice; mail systems drop a second message of the same id.
    """
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    return f"<{digest}@{domain}>"
