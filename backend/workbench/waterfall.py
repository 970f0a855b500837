"""One trace as people read it: who called whom, when, for how long, and what is odd about it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.tracing.privacy import SQL
from workbench.traces import Span, Trace

SYSTEM = "db.system.name"

SLOW_QUERY = 50  # milliseconds
REPEATED = 3  # times that one query runs in a request or task until it is pointed out
ROWS = 400  # that are shown
CLOCKS_DIFFER = 0.005  # seconds that a span may begin before what caused it
# Attributes that the row or its events show.
_SHOWN = {"tenant", SQL, SYSTEM, "url.path", "http.request.method", "http.response.status_code"}
_COLUMNS = re.compile(r"^(SELECT(?: DISTINCT)?) (?!COUNT\().*? FROM")
_LIST = re.compile(r"\((?:(?:%s|\?)(?:, )?)+\)")


@dataclass
class Row:
    """A span in its place: `left` and `width` in percent of the whole trace."""

    span: Span
    depth: int
    left: float
    width: float
    repeated: int = 0
    early: float = 0.0  # seconds that it began before what caused it

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        attributes = self.span["attributes"]
        if self.sql:
            return _COLUMNS.sub(r"\1 … FROM", " ".join(self.sql.split())).replace('"', "")[:160]
        if path := attributes.get("url.path"):
            status = attributes.get("http.response.status_code", "")
            return f"{attributes.get('http.request.method', '')} {path} {status}".strip()
        name: str = self.span["name"]
        for prefix, verb in (("run/", ""), ("apply_async/", "send ")):
            if name.startswith(prefix):
                return verb + name.removeprefix(prefix)
        return name

    @property
    def kind(self) -> str:
        """What it is: request, task, query, redis, aws, mail, send or step."""
        attributes, kind = self.span["attributes"], self.span["kind"]
        if kind == "server":
            return "request"
        if kind == "consumer":
            return "task"
        if self.span["name"] == "send e-mail":
            return "mail"
        if kind == "producer":
            return "send"
        if SYSTEM in attributes:
            return "query" if self.sql else str(attributes[SYSTEM])
        return "aws" if "rpc.service" in attributes else "step"

    @property
    def sql(self) -> str:
        return statement(self.span)

    @property
    def slow(self) -> bool:
        return bool(self.sql) and self.span["ms"] >= SLOW_QUERY

    @property
    def offset(self) -> float:
        """Milliseconds from the beginning of the trace."""
        return float(self.span["offset"])

    @property
    def facts(self) -> list[tuple[str, Any]]:
        """What is said of it beside its row: names and values."""
        span = self.span
        facts = [("began", f"{self.offset:.1f} ms after the first"), ("in", span["service"])]
        if span.get("why"):
            facts.append(("failed", span["why"]))
        if self.early:
            clocks = f"{self.early * 1000:.0f} ms before what caused it: the clocks differ"
            facts.append(("began", clocks))
        return facts + [item for item in span["attributes"].items() if item[0] not in _SHOWN]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.span["events"] if event["name"] == name]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Lines of the log."""
        return self.events("log")

    @property
    def arguments(self) -> dict[str, Any]:
        return next(iter(self.events("arguments")), {})

    @property
    def result(self) -> str:
        return str(next(iter(self.events("result")), {}).get("result", ""))

    @property
    def exceptions(self) -> list[dict[str, str]]:
        """Each as `type`, `message` and `traceback`."""
        return [
            {
                name.rpartition(".")[2].replace("stacktrace", "traceback"): str(value)
                for name, value in event.items()
                if name.startswith("exception.")
            }
            for event in self.events("exception")
        ]

    @property
    def mail(self) -> list[str]:
        """Keys of the e-mails that were sent in it."""
        return [event["key"] for event in self.events("e-mail")]


@dataclass
class Repeated:
    """One query that ran again and again for one request or task."""

    sql: str
    times: int
    ms: float
    within: str


@dataclass
class Waterfall:
    """A trace in rows, the callers above what they called."""

    trace: Trace
    rows: list[Row]
    ms: float
    hidden: int = 0  # rows that are not shown
    repeated: list[Repeated] = field(default_factory=list)

    @property
    def title(self) -> str:
        return self.rows[0].name

    @property
    def tenants(self) -> list[str]:
        found = {str(span["attributes"].get("tenant", "")) for span in self.trace.spans}
        # Where each request begins, and looks for its tenant.
        return sorted(found - {"public"}) or ["public"]

    @property
    def failed(self) -> bool:
        return any(span["failed"] for span in self.trace.spans)

    @property
    def queries(self) -> int:
        return sum(bool(statement(span)) for span in self.trace.spans)


def arrange(trace: Trace) -> Waterfall:
    """Put the spans of a trace in the order of their calls."""
    began = min(span["at"] for span in trace.spans)
    ended = max(span["at"] + span["ms"] / 1000 for span in trace.spans)
    whole = max(ended - began, 1e-6)
    known = {span["span"]: span for span in trace.spans}
    rows = []
    for span, depth in _in_order(trace.spans, known):
        span["offset"] = (span["at"] - began) * 1000
        caller = known.get(span["parent"])
        early = caller["at"] - span["at"] if caller else 0.0
        rows.append(
            Row(
                span,
                depth,
                round((span["at"] - began) / whole * 100, 2),
                round(max(span["ms"] / 10 / whole, 0.3), 2),
                early=early if early > CLOCKS_DIFFER else 0.0,
            )
        )
    repeated = _mark_repeated(rows, known)
    return Waterfall(trace, rows[:ROWS], whole * 1000, max(0, len(rows) - ROWS), repeated)


def _in_order(spans: Sequence[Span], known: Mapping[str, Span]) -> Iterator[tuple[Span, int]]:
    """Yield each span with its depth, what it called below it; without recursion."""
    called: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        called[span["parent"] if span["parent"] in known else ""].append(span)
    waiting = [(span, 0) for span in reversed(called[""])]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting += [(one, depth + 1) for one in reversed(called[span["span"]])]


def _mark_repeated(rows: Sequence[Row], known: Mapping[str, Span]) -> list[Repeated]:
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.sql and not row.sql.startswith(("SAVEPOINT", "RELEASE")):
            groups[_within(row.span, known), _LIST.sub("(…)", row.sql)].append(row)
    found = []
    for (within, sql), same in groups.items():
        if len(same) >= REPEATED:
            for row in same:
                row.repeated = len(same)
            took = sum(row.span["ms"] for row in same)
            name = known[within]["name"] if within else ""
            found.append(Repeated(sql, len(same), took, name))
    return sorted(found, key=lambda one: one.ms, reverse=True)


def _within(span: Span, known: Mapping[str, Span]) -> str:
    """Return the request, task or command that a span is of."""
    for _ in range(len(known)):
        caller = known.get(span["parent"])
        if caller is None or "entry" in caller:
            return caller["span"] if caller else ""
        span = caller
    return ""


def statement(span: Span) -> str:
    """Return the SQL of a span, or nothing; commands of Redis are texts of the same attribute."""
    attributes = span["attributes"]
    return str(attributes.get(SQL, "")) if attributes.get(SYSTEM) == "postgresql" else ""
