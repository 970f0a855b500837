"""What may be attached: told by the content, never by what the sender calls it."""

from __future__ import annotations

import codecs
import warnings
from pathlib import PurePath

from django.core.exceptions import ValidationError
from django.core.files import File
from PIL import Image, UnidentifiedImageError

MAX_BYTES = 5 * 1024 * 1024  # of one file
MAX_FILES = 3  # of one message
IMAGE_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
# Which ending a file may carry, so that it opens as what it was checked to be.
SUFFIXES = {
    "image/png": {".png"},
    "image/jpeg": {".jpg", ".jpeg"},
    "image/gif": {".gif"},
    "image/webp": {".webp"},
    "application/pdf": {".pdf"},
    "text/plain": {".txt", ".log", ".csv"},
}


def checked_type(file: File) -> str:
    """Return the content type of a file that may be attached.

    Raises:
        ValidationError: when it is too large, of no accepted type, or named as another one.
    """
    if file.size > MAX_BYTES:
        raise ValidationError(f"A file may have {MAX_BYTES} bytes at most.")
    content_type = _image_type(file) or _document_type(file)
    if content_type is None:
        raise ValidationError("Accepted are PNG, JPEG, GIF and WebP images, PDF, and UTF-8 text.")
    suffix = PurePath(file.name or "").suffix.lower()
    if suffix not in SUFFIXES[content_type]:
        raise ValidationError(f"The file is {content_type}, which {suffix!r} does not say.")
    return content_type


def _image_type(file: File) -> str | None:
    file.seek(0)
    try:
        with warnings.catch_warnings():
            # A small file that unpacks to a huge image is an attack on its reader.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=list(IMAGE_FORMATS))
            image.verify()
    except UnidentifiedImageError:
        return None
    except Exception as error:  # Pillow's decoders raise many kinds
        raise ValidationError("The image is damaged or too large.") from error
    finally:
        file.seek(0)
    return IMAGE_FORMATS[image.format or ""]


def _document_type(file: File) -> str | None:
    try:
        beginning = file.read(5)
        file.seek(0)
        if beginning == b"%PDF-":
            return "application/pdf"
        return "text/plain" if _is_text(file) else None
    finally:
        file.seek(0)


def _is_text(file: File) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in file.chunks():
            if "\0" in decoder.decode(chunk):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return file.size > 0
