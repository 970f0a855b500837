"""E-mail of a developer's machine: written to the log, and kept for reading in the workbench."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_string, policy
from email.message import EmailMessage as Parsed
from typing import Any

import redis
import structlog
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation

from core.logging import trace_id
from workbench.activity_log import MAIL, connect

LARGEST = 512 * 1024  # characters of a message that are kept

log = structlog.get_logger(__name__)


class EmailBackend(BaseEmailBackend):
    """Sends nothing: logs each message, as a line like any other, and keeps the last of them."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        entries = [_entry(message) for message in email_messages]
        for entry, message in zip(entries, email_messages, strict=True):
            to = entry["to"]
            trace.get_current_span().add_event("e-mail", {"key": entry["key"]})
            log.info("e-mail", subject=entry["subject"], to=to, body=message.body)
        try:
            if entries:
                with suppress_instrumentation(), connect() as client:
                    MAIL.add(client, entries)
        except redis.RedisError as error:
            log.warning("e-mail not kept for the workbench", error=str(error))
        return len(entries)


def _entry(message: EmailMessage) -> dict[str, Any]:
    return {
        "at": time.time(),
        "key": secrets.token_hex(8),
        "tenant": connection.schema_name,
        "trace": trace_id(),
        "subject": message.subject,
        "to": list(message.recipients()),
        "source": message.message().as_string()[:LARGEST],
    }


@dataclass(frozen=True)
class Message:
    """A kept message as it is read: `files` are names and sizes in bytes."""

    entry: dict[str, Any]
    sender: str
    text: str
    html: str
    files: list[tuple[str, int]]


def read(key: str) -> Message | None:
    """Return the kept message, or None when it is gone.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    with connect() as client:
        kept = MAIL.newest_first(client)
    entry = next((entry for entry in kept if entry["key"] == key), None)
    if entry is None:
        return None
    parsed = message_from_string(entry["source"], policy=policy.default)
    return Message(
        entry,
        str(parsed["From"] or ""),
        _body(parsed, "plain"),
        _body(parsed, "html"),
        [
            (part.get_filename() or part.get_content_type(), len(part.get_payload(decode=True)))
            for part in parsed.iter_attachments()
            if not part.is_multipart()
        ],
    )


def _body(message: Parsed, kind: str) -> str:
    part = message.get_body((kind,))
    return part.get_content() if part else ""
