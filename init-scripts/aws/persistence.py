"""Keep the changes of an emulator in a file, because emulators lose their data when they stop.

Each request that changed something is appended to the file and repeated at the next start, after
the seed. So an emulator has its files, parameters and users again, even after it was killed.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import seed
from werkzeug.test import Client, run_wsgi_app
from werkzeug.wrappers import Request

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
Entry = dict[str, Any]

# Requests to S3 name no action, so their method tells.
_WRITING_METHODS = ("PUT", "POST", "DELETE")
_READING_ACTION = re.compile(r"(Admin)?(Get|List|Describe|InitiateAuth)")
# A log-in that is answered by a challenge stores a session, which the next request names.
_CHALLENGE = b'"ChallengeName"'
_UPLOAD = re.compile(rb"<UploadId>(.+?)</UploadId>")
_OWN_PATHS = ("/_", "/moto-api")
_STS = ("/", "application/x-www-form-urlencoded")
# A presigned URL expires, so a repetition is signed otherwise.
_SIGNATURE_KEYS = re.compile(r"X-Amz-.*|AWSAccessKeyId|Signature|Expires")
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/{}/s3/aws4_request, SignedHeaders=host, Signature=0"
)
_OF_ONE_CONNECTION = ("content-length", "transfer-encoding", "expect", "connection")


class Persistent:
    """The WSGI application of an emulator, whose changes are kept in `file`.

    Only the owner may read the file, because requests contain passwords of emulated users.
    `randomize` gets a number before each change, and the same before its repetition, so that an
    emulator makes the same ids. Therefore one change is made at a time.
    """

    def __init__(
        self, application: Application, file: Path, randomize: Callable[[int], Any] = lambda _: None
    ) -> None:
        self._application = application
        self._file = file
        self._randomize = randomize
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        if not _may_change(request):
            return self._application(environ, start_response)
        body = request.get_data()
        environ["wsgi.input"] = io.BytesIO(body)
        with self._lock:
            number = secrets.randbits(32)
            self._randomize(number)
            parts, status, headers = run_wsgi_app(self._application, environ, buffered=True)
            response = b"".join(parts)
            if status.startswith("2") and not _only_read(request, response):
                with self._opened(self._file, os.O_APPEND) as file:
                    file.write(f"{json.dumps(_entry(request, body, response, number))}\n")
        start_response(status, headers.to_wsgi_list())
        return [response]

    def repeat(self) -> None:
        """Make the kept changes again. Report those that the emulator refuses."""
        # One body is in memory at a time. The file is shortened in one step, at the end.
        needed = _needed([entry | {"body": ""} for entry in self._entries(report=True)])
        emulator = Client(self._application)
        uploads: dict[str, str] = {}
        refused = 0
        part = self._file.with_suffix(".part")
        with self._opened(part, os.O_TRUNC) as file:
            for entry in itertools.compress(self._entries(), needed):
                file.write(f"{json.dumps(entry)}\n")
                refused += not self._repeat(emulator, entry, uploads)
        part.replace(self._file)
        seed.say("info", "repeated", changes=sum(needed), refused=refused)

    def _repeat(self, emulator: Client, entry: Entry, uploads: dict[str, str]) -> bool:
        """Make one change again; return whether the emulator accepted it.

        `uploads` has the new id of each upload in parts, by its old one.
        """
        self._randomize(entry["number"])
        query = [(key, uploads.get(value, value)) for key, value in entry["query"]]
        response = emulator.open(
            entry["path"],
            base_url=f"http://{entry['headers']['Host']}",
            method=entry["method"],
            query_string=urlencode(query),
            headers=entry["headers"],
            data=base64.b64decode(entry["body"]),
        )
        if "upload" in entry:
            uploads[entry["upload"]] = _upload(response.data)
        accepted = response.status_code < 300
        if not accepted:
            what = f"{entry['method']} {entry['path']} {entry['action']}".strip()
            seed.say("warning", "not repeated", request=what, response=response.text)
        return accepted

    def _entries(self, *, report: bool = False) -> Iterator[Entry]:
        with self._opened(self._file) as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except ValueError:  # the emulator was killed while it wrote
                    if report:
                        seed.say("warning", "unreadable", file=str(self._file), line=number)

    def _opened(self, path: Path, flag: int = 0) -> TextIO:
        file = os.open(path, os.O_CREAT | os.O_RDWR | flag, 0o600)
        return os.fdopen(file, "r+", encoding="utf-8")


def _action(request: Request) -> str:
    """The action that a request names, like AdminCreateUser; empty for S3 and STS."""
    return request.headers.get("X-Amz-Target", "").rpartition(".")[2]


def _may_change(request: Request) -> bool:
    return bool(_action(request)) or (
        request.method in _WRITING_METHODS
        and not request.path.startswith(_OWN_PATHS)
        and (request.path, request.mimetype) != _STS
    )


def _only_read(request: Request, response: bytes) -> bool:
    return bool(_READING_ACTION.match(_action(request))) and _CHALLENGE not in response


def _entry(request: Request, body: bytes, response: bytes, number: int) -> Entry:
    of_server = request.environ
    signed = parse_qsl(request.query_string.decode(), keep_blank_values=True)
    query = [(key, value) for key, value in signed if not _SIGNATURE_KEYS.fullmatch(key)]
    headers = {
        key: value for key, value in request.headers if key.lower() not in _OF_ONE_CONNECTION
    }
    if query != signed:
        headers["Authorization"] = _SIGNED.format(os.environ["AWS_DEFAULT_REGION"])
    entry = {
        "method": request.method,
        # Still quoted, because quoting is not reversible.
        "path": urlsplit(of_server["RAW_URI"]).path,
        "query": query,
        "headers": headers,
        "body": base64.b64encode(body).decode(),
        "action": _action(request),
        "number": number,
    }
    return entry | ({"upload": _upload(response)} if ("uploads", "") in query else {})


def _upload(response: bytes) -> str:
    found = _UPLOAD.search(response)
    return found[1].decode() if found else ""


def _needed(entries: Sequence[Entry]) -> list[bool]:
    """Tell of each entry whether no later one replaced or deleted it in S3."""
    sources = [entry["headers"].get("X-Amz-Copy-Source", "") for entry in entries]
    # A copy needs its source, even if that was deleted later.
    sources_of_copies = {unquote(source).lstrip("/").partition("/")[0] for source in sources}
    replaced: set[str] = set()
    needed: list[bool] = []
    for entry in reversed(entries):
        place = entry["path"].strip("/")
        bucket, _, key = place.partition("/")
        if entry["action"] or bucket in sources_of_copies:
            needed.append(True)
            continue
        # A request with a query concerns a part of the object, e.g. its tags.
        deletes = entry["method"] == "DELETE" and not entry["query"]
        needed.append(not deletes and not {place, bucket} & replaced)
        if deletes or (key and not entry["query"]):
            replaced.add(place)
    return needed[::-1]
