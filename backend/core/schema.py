"""The API's schema: what drf-spectacular cannot see by itself.

https://drf-spectacular.readthedocs.io/en/latest/customization.html
"""

from __future__ import annotations

from typing import Any

from core.errors.problem_details import CONTENT_TYPE

Operation = dict[str, Any]

PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "The status in words."},
        "request_id": {"type": "string", "description": "As X-Request-ID: names it in a report."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong with this request."},
        "errors": {
            "type": "object",
            "description": "By field: what is wrong with its value.",
            "additionalProperties": {},
        },
    },
    "required": ["type", "title", "status", "detail"],
    "example": {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "The request is not valid.",
        "errors": {"quantity": ["Ensure this value is greater than or equal to 1."]},
    },
}


def only_the_newest_version(
    endpoints: list[tuple[Any, ...]], **kwargs: Any
) -> list[tuple[Any, ...]]:
    """Leave out the alias /api/, which would describe every operation twice."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/v1/")]


CHECK = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["ok", "fail"]},
        "latency_ms": {"type": "number", "minimum": 0},
        "error": {"type": "string", "description": "What is wrong, where something is."},
    },
    "required": ["status", "latency_ms"],
}
READINESS = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["ok", "degraded", "fail"]},
        "down": {"type": "array", "items": {"type": "string"}},
        "server": {"type": "string", "enum": ["gunicorn", "asgi", "runserver"]},
        "checks": {
            "type": "object",
            "description": "Not shown to everybody in production.",
            "additionalProperties": CHECK,
        },
    },
    "required": ["status", "down", "server"],
    "example": {
        "status": "ok",
        "down": [],
        "server": "gunicorn",
        "checks": {"database": {"status": "ok", "latency_ms": 1.2}},
    },
}
LIVENESS = {
    "type": "object",
    "properties": {"status": {"type": "string", "enum": ["ok"]}},
    "required": ["status"],
    "example": {"status": "ok"},
}


def describe_health(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """Add the health addresses: plain views, which must not need what the API stands on."""
    ready = {"200": _answer("What is needed answers; `down` names the rest.", READINESS)}
    ready["503"] = _answer("Something needed is down; `down` names it.", READINESS)
    live = {"200": _answer("The process serves requests.", LIVENESS)}
    result["paths"] |= {
        "/api/v1/health/": {"get": _health("health_retrieve", "What the stack reaches.", ready)},
        "/api/v1/health/live/": {"get": _health("health_live_retrieve", "Alive?", live)},
    }
    return result


def _health(name: str, description: str, responses: dict[str, Any]) -> Operation:
    return {
        "operationId": name,
        "description": description,
        "tags": ["health"],
        "responses": responses,
    }


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    shape = {key: value for key, value in schema.items() if key != "example"}
    content = {"schema": shape, "examples": {"Answer": {"value": schema["example"]}}}
    return {"description": description, "content": {"application/json": content}}


def document_errors(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """Add to each operation the errors that follow from what it takes."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    for path, operations in result["paths"].items():
        for operation in operations.values():
            for status, meaning in _errors(path, operation).items():
                operation["responses"].setdefault(status, {"description": meaning})
            _give_content(operation["responses"])
    return result


def _errors(path: str, operation: Operation) -> dict[str, str]:
    parameters = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
    errors = {"406": "No such representation."}
    if operation.get("requestBody"):
        errors |= {
            "400": "The body is malformed or not valid.",
            "413": "The body is too large.",
            "415": "The body's type is not accepted.",
        }
    if parameters:
        errors["400"] = "A parameter is not valid."
    if {"jwtAuth": []} in operation.get("security", []):
        errors["401"] = "The token is missing, expired, or of another tenant."
    if {"cognitoAuth": []} in operation.get("security", []):
        errors["503"] = "The token cannot be verified for now."
    if "{" in path or "page" in parameters:
        errors["404"] = "There is no such thing, or it is not yours."
    return errors


def _give_content(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status >= "400":
            schema = {"$ref": "#/components/schemas/Problem"}
            response["content"] = {CONTENT_TYPE: {"schema": schema}}
