"""Validate task definitions by botocore's model of ECS. Run by a Python that has botocore:

    python -m devtools.ecs.judge JSON

JSON is a list of definitions. Prints a list with one list of errors for each definition. Uses no
network.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate


def judge(definitions: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the errors in each definition, by the model of RegisterTaskDefinition."""
    described = botocore.loaders.Loader().load_service_model("ecs", "service-2")
    operation = botocore.model.ServiceModel(described).operation_model("RegisterTaskDefinition")
    return [list(_errors(one, operation.input_shape)) for one in definitions]


def _errors(definition: Mapping[str, Any], shape: Any) -> Iterator[str]:
    report = botocore.validate.ParamValidator().validate(definition, shape)
    for line in report.generate_report().splitlines():
        yield f"boto3: {line}"
    for path, value, allowed in _not_allowed(definition, shape, ""):
        yield f"boto3: {path} is {value}, not one of: {', '.join(allowed)}"


def _not_allowed(value: Any, shape: Any, path: str) -> Iterator[tuple[str, str, Sequence[str]]]:
    """The strings outside their list of values, which ParamValidator does not compare."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name in value.keys() & shape.members.keys():
            yield from _not_allowed(value[name], shape.members[name], f"{path}.{name}".strip("."))
    elif shape.type_name == "list" and isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _not_allowed(inner, shape.member, f"{path}[{number}]")
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield path, str(value), shape.enum


if __name__ == "__main__":
    json.dump(judge(json.loads(sys.argv[1])), sys.stdout)
