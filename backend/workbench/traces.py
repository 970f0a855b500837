"""The last traces, in Redis, within a bound: as many, as large and as old as `BOUND` says."""

from __future__ import annotations

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from workbench.activity_log import COMMANDS, REQUESTS, TASKS, connect, key

Span = dict[str, Any]
# A span that ended: the id of its trace, and what is kept of it: the parameters of `_described`.
Recorded = tuple[int, tuple[Any, ...]]

FEW = 20  # spans; each part that is written costs as much as several of them
BUCKET = 10  # seconds whose requests are counted together
BUCKETS = 30  # how many of those are kept


@dataclass(frozen=True)
class Bound:
    """What is kept at most; sizes are bytes of JSON."""

    traces: int = 400
    size: int = 8 * 1024 * 1024
    size_of_trace: int = 512 * 1024
    seconds: int = 6 * 3600


BOUND = Bound()

# An attribute may be of bytes.
_json = json.JSONEncoder(separators=(",", ":"), default=repr).encode

# Said of every span alike, or of the machine.
_NOISE = (
    *("server.", "network.", "url.scheme", "user_agent.", "client.", "net.", "db.namespace"),
    *("db.redis.", "db.user", "celery.action", "celery.delivery_info", "celery.hostname"),
    *("celery.expires", "celery.timelimit", "messaging.conversation_id", "messaging.destination"),
)

# One script, so that what is counted and what is kept cannot differ. The spans of a trace come from
# several processes; its requests and tasks end last, and are kept when the others are too many.
_KEEP = """
local index, sizes, left_out, total, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now, traces, size, size_of_trace, seconds =
  tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
for i = 6, #ARGV, 4 do
  local id, spans, number, last = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local before = tonumber(redis.call('HGET', sizes, id) or 0)
  if before + #spans <= size_of_trace * (1 + last) then
    redis.call('RPUSH', prefix .. id, spans)
    redis.call('EXPIRE', prefix .. id, seconds)
    redis.call('HSET', sizes, id, before + #spans)
    redis.call('INCRBY', total, #spans)
    redis.call('ZADD', index, 'NX', now, id)
  else
    redis.call('HINCRBY', left_out, id, number)
  end
end
while true do
  local oldest = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')
  if not oldest[1] then break end
  if redis.call('ZCARD', index) <= traces and tonumber(redis.call('GET', total) or 0) <= size
     and tonumber(oldest[2]) > now - seconds then break end
  local id = oldest[1]
  redis.call('DECRBY', total, redis.call('HGET', sizes, id) or 0)
  redis.call('DEL', prefix .. id)
  redis.call('ZREM', index, id)
  redis.call('HDEL', sizes, id)
  redis.call('HDEL', left_out, id)
end
for _, name in ipairs({index, sizes, left_out, total}) do redis.call('EXPIRE', name, seconds) end
"""


@dataclass(frozen=True)
class Trace:
    """The spans of one trace by the time they began, and how many were left out."""

    id: str
    spans: list[Span]
    left_out: int = 0


def write(client: redis.Redis, spans: Iterable[Recorded]) -> None:
    """Keep spans, and list the requests, tasks and commands.

    Raises:
        redis.RedisError: when Redis does not answer, or is full.
    """
    together: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    entries: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for trace_id, kept in spans:
        span_id, *_, entry = kept
        together[trace_id].append(kept)
        if entry:
            ids = {"trace": format(trace_id, "032x"), "span": format(span_id, "016x")}
            entries[entry["type"]].append(entry | ids)
    arguments: list[Any] = []
    for trace_id, all_of_it in together.items():
        for some in _parts(all_of_it):
            last = any(entry for *_, entry in some)
            arguments += [format(trace_id, "032x"), _json(some), len(some), int(last)]
    with client.pipeline(transaction=False) as pipe:
        pipe.eval(_KEEP, len(_names()), *_names(), time.time(), BOUND.traces, BOUND.size,
                  BOUND.size_of_trace, BOUND.seconds, *arguments)  # fmt: skip
        for log in (REQUESTS, TASKS, COMMANDS):
            if entries[log.name]:
                log.add(pipe, entries[log.name])
        _count(pipe, entries[REQUESTS.name])
        pipe.execute()


def _parts(spans: list[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    """Return spans of one trace by what is kept or left out together: few are one part."""
    if len(spans) <= FEW:
        return [spans]
    others = [span for span in spans if not span[-1]]
    last = [span for span in spans if span[-1]]
    return [part for part in (others, last) if part]


def _described(
    span_id: int,
    parent: int,
    kind: str,
    name: str,
    service: str,
    start: int,
    end: int,
    failed: bool,
    why: str | None,
    attributes: dict[str, Any],
    events: list[tuple[str, int, dict[str, Any]]],
    entry: dict[str, Any] | None,
) -> Span:
    found: Span = {
        "span": format(span_id, "016x"),
        "parent": format(parent, "016x") if parent else "",
        "kind": kind.lower(),
        "name": name,
        "service": service,
        "at": start / 1e9,
        "ms": round((end - start) / 1e6, 2),
        "failed": failed,
        "attributes": {
            name: value for name, value in attributes.items() if not name.startswith(_NOISE)
        },
        "events": [{**said, "name": name, "at": at / 1e9} for name, at, said in events],
    }
    if why:
        found["why"] = why
    if entry:
        found["entry"] = entry
    return found


def _names() -> list[str]:
    return [key(f"trace-{name}") for name in ("index", "sizes", "left-out", "total", "")]


def _count(pipe: redis.Redis, requests: Sequence[dict[str, Any]]) -> None:
    counted = Counter((int(one["at"]) // BUCKET, one["status"] // 100) for one in requests)
    for (bucket, kind), number in counted.items():
        pipe.hincrby(key(f"requests:{bucket}"), f"{kind}xx", number)
        pipe.expire(key(f"requests:{bucket}"), BUCKET * (BUCKETS + 2))


def counts(client: redis.Redis, now: float) -> list[dict[str, int]]:
    """Return how many requests got which kind of status ("2xx"), for each bucket, oldest first.

    Args:
        now: seconds since the epoch; its bucket is the last.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    newest = int(now) // BUCKET
    with client.pipeline(transaction=False) as pipe:
        for bucket in range(newest - BUCKETS + 1, newest + 1):
            pipe.hgetall(key(f"requests:{bucket}"))
        found = pipe.execute()
    return [{kind.decode(): int(number) for kind, number in one.items()} for one in found]


def read(trace_id: str) -> Trace | None:
    """Return a trace, or None when it is not kept.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    *_, left_out, _total, prefix = _names()
    with connect() as client:
        chunks = client.lrange(prefix + trace_id, 0, -1)
        missing = client.hget(left_out, trace_id)
    spans = [_described(*span) for chunk in chunks for span in json.loads(chunk)]
    if not spans:
        return None
    return Trace(trace_id, sorted(spans, key=lambda span: span["at"]), int(missing or 0))


def entries() -> list[dict[str, Any]]:
    """Return the requests, tasks and commands whose trace is kept, newest first.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    with connect() as client:
        kept = {name.decode() for name in client.zrange(_names()[0], 0, -1)}
        found = [
            entry
            for log in (REQUESTS, TASKS, COMMANDS)
            for entry in log.newest_first(client)
            if entry["trace"] in kept
        ]
    return sorted(found, key=lambda entry: entry["at"], reverse=True)


def find(text: str) -> str | None:
    """Return the id of the kept trace that `text` names: its id, X-Request-ID, or a task's id.

    Raises:
        redis.RedisError: when Redis does not answer.
    """
    wanted = text.replace("-", "").strip().lower()
    if not re.fullmatch("[0-9a-f]{32}", wanted):
        return None
    with connect() as client:
        if client.exists(_names()[-1] + wanted):
            return wanted
    for entry in entries():
        if wanted in (entry.get("request_id"), entry.get("id", "").replace("-", "")):
            return str(entry["trace"])
    return None
