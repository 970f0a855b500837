"""How the API reads a body."""

from io import BytesIO
from typing import Any, BinaryIO

from django.conf import settings
from rest_framework import parsers
from rest_framework.exceptions import ParseError

from core.problems import ContentTooLarge


class JSONParser(parsers.JSONParser):
    """Reads UTF-8 JSON up to the size Django allows for a form."""

    def parse(self, stream: BinaryIO, media_type: str | None = None, parser_context=None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise ContentTooLarge(f"JSON may have {limit} bytes at most.")
        try:
            return super().parse(BytesIO(body), media_type, {"encoding": "utf-8"})
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
