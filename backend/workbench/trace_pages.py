"""The pages of the kept traces: the list, one of them, and the plan of one of its queries."""

from __future__ import annotations

from typing import Any

import redis
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from workbench import explain, traces
from workbench.state import shown
from workbench.traces import Trace
from workbench.waterfall import arrange, statement

SLOW = 500  # milliseconds of a request, task or command
SHOWN = 200  # rows of the list


@require_safe
@never_cache
def trace_list(request: HttpRequest) -> HttpResponse:
    """Show the kept requests, tasks and commands that the filters leave."""
    asked = {name: request.GET.get(name, "").strip() for name in ("tenant", "text", "only", "type")}
    context: dict[str, Any] = {"asked": asked, "slow": SLOW, "bound": traces.BOUND}
    try:
        if asked["text"] and (found := traces.find(asked["text"])):
            return redirect("workbench-trace", found)
        entries = traces.entries()
    except redis.RedisError as error:
        return render(request, "workbench/traces.html", context | {"trouble": str(error)})
    found_entries = [entry for entry in entries if _is_asked(entry, asked)]
    context |= {
        "tenants": sorted({entry["tenant"] for entry in entries if entry["tenant"]}),
        "entries": [shown(entry) for entry in found_entries[:SHOWN]],
        "number": len(found_entries),
        "kept": len(entries),
    }
    return render(request, "workbench/traces.html", context)


@require_safe
@never_cache
def trace_page(request: HttpRequest, trace_id: str) -> HttpResponse:
    """Show one trace; `?format=json` gives what is kept of it."""
    trace = _trace(trace_id)
    if request.GET.get("format") == "json":
        return JsonResponse({"trace": trace.id, "left_out": trace.left_out, "spans": trace.spans})
    commands = {
        "log": f"./dev logs --trace {trace.id}",
        "data": f"./dev trace {trace.id} --json",
    }
    context = {"waterfall": arrange(trace), "bound": traces.BOUND, **commands}
    return render(request, "workbench/trace.html", context)


@require_safe
@never_cache
def plan_page(request: HttpRequest, trace_id: str, span_id: str) -> HttpResponse:
    """Show how PostgreSQL would run the query of a span."""
    trace = _trace(trace_id)
    span = next((one for one in trace.spans if one["span"] == span_id), None)
    if span is None:
        raise Http404("This trace has no such span.")
    context: dict[str, Any] = {"trace": trace, "span": span, "sql": statement(span)}
    try:
        context["plan"] = explain.plan(span)
    except explain.Unexplained as error:
        context["trouble"] = str(error)
    return render(request, "workbench/plan.html", context)


def _trace(trace_id: str) -> Trace:
    try:
        found = traces.find(trace_id)
        trace = traces.read(found) if found else None
    except redis.RedisError as error:
        raise Http404(f"Redis, which keeps the traces, does not answer: {error}") from error
    if trace is None:
        raise Http404("This trace is no longer kept: only the last ones are.")
    return trace


def _is_asked(entry: dict[str, Any], asked: dict[str, str]) -> bool:
    only, text = asked["only"], asked["text"].lower()
    return (
        asked["tenant"] in ("", entry["tenant"])
        and asked["type"] in ("", entry["type"])
        and (only != "slow" or entry["ms"] >= SLOW)
        and (only != "failed" or _has_failed(entry))
        and text in f"{entry.get('path', '')} {entry.get('name', '')}".lower()
    )


def _has_failed(entry: dict[str, Any]) -> bool:
    return bool(entry["failed"] or entry.get("status", 0) >= 500 or entry.get("state") == "FAILURE")
