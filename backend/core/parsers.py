"""How the API reads a body."""

from typing import IO, Any

from django.http.multipartparser import MultiPartParser as DjangoMultiPartParser
from django.http.multipartparser import MultiPartParserError
from django.utils.http import parse_header_parameters
from rest_framework import parsers
from rest_framework.exceptions import ParseError


class JSONParser(parsers.JSONParser):
    """Reads UTF-8 JSON."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        try:
            return super().parse(stream, media_type, {"encoding": "utf-8"})
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error


class MultiPartParser(parsers.MultiPartParser):
    """Reads a form with files, and refuses a form of which Django would drop a part silently."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        request = parser_context["request"]
        meta = {**request.META, "CONTENT_TYPE": media_type}
        try:
            form = _NamedFiles(meta, stream, request.upload_handlers, parser_context["encoding"])
            form.check_headers()
            return parsers.DataAndFiles(*form.parse())
        except MultiPartParserError as error:
            raise ParseError(f"The form cannot be read: {error}") from error


class _NamedFiles(DjangoMultiPartParser):
    """Django's parser, for which a name that cannot be kept and a bad header are errors."""

    _input_data: Any
    _boundary: bytes

    def check_headers(self) -> None:
        """Look at the headers of each part while the form is read."""
        self._input_data = _CheckedHeaders(self._input_data, b"--" + self._boundary)

    def sanitize_file_name(self, file_name: str) -> str:
        kept = super().sanitize_file_name(file_name)
        if kept is None:
            raise MultiPartParserError(f"{file_name!r} is not the name of a file.")
        return kept


class _CheckedHeaders:
    """Passes a form's bytes on as they are, and raises for a part without readable headers."""

    def __init__(self, stream: IO[bytes], delimiter: bytes) -> None:
        self._stream = stream
        self._delimiter = delimiter
        self._unchecked = b""

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._unchecked += chunk
        while (start := self._unchecked.find(self._delimiter)) >= 0:
            end = self._unchecked.find(b"\r\n\r\n", start)
            if end < 0:
                break  # Django limits how long headers may be
            _check_headers(self._unchecked[start + len(self._delimiter) : end])
            self._unchecked = self._unchecked[end:]
        else:
            self._unchecked = self._unchecked[-len(self._delimiter) :]
        return chunk


def _check_headers(block: bytes) -> None:
    if block.startswith(b"--"):
        return  # what follows the last part
    for line in filter(None, block.split(b"\r\n")):
        try:
            name, parameters = parse_header_parameters(line.decode())
        except ValueError:
            raise MultiPartParserError(
                "a part has headers that are not UTF-8, or name an unknown encoding."
            ) from None
        if name.startswith("content-disposition:") and parameters.get("name"):
            return
    raise MultiPartParserError("a part has no name.")
