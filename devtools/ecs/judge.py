"""Validate task definitions with botocore and cfn-lint. Run by a Python that has both:

    python -m devtools.ecs.judge JSON

JSON is a list of definitions. Prints a list with one list of errors for each definition. Uses no
network.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
from cfnlint.api import lint
from cfnlint.config import ManualArgs

# Keys that CloudFormation does not spell with just a capital first letter.
_SPELLED = {
    "efsVolumeConfiguration": "EFSVolumeConfiguration",
    "fileSystemId": "FilesystemId",
    "iam": "IAM",
}


def judge(definitions: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the errors that botocore and cfn-lint find in each definition."""
    linted = _cfn_lint(definitions)
    return [[*_botocore(one), *linted[number]] for number, one in enumerate(definitions)]


def _botocore(definition: Mapping[str, Any]) -> list[str]:
    described = botocore.loaders.Loader().load_service_model("ecs", "service-2")
    operation = botocore.model.ServiceModel(described).operation_model("RegisterTaskDefinition")
    report = botocore.validate.ParamValidator().validate(definition, operation.input_shape)
    return [f"boto3: {line}" for line in report.generate_report().splitlines()]


def _cfn_lint(definitions: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Put all definitions into one template, because starting cfn-lint takes most of the time."""
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            f"Task{number}": {"Type": "AWS::ECS::TaskDefinition", "Properties": _capitalised(one)}
            for number, one in enumerate(definitions)
        },
    }
    found: list[list[str]] = [[] for _ in definitions]
    regions = sorted({_region(one) for one in definitions})
    for match in lint(json.dumps(template, indent=2), config=ManualArgs(regions=regions)):
        said = f"cfn-lint {match.rule.id}: {match.message}"
        at = [str(part) for part in match.path or ()]
        of = [int(part[4:]) for part in at if part.startswith("Task") and part[4:].isdigit()]
        # Findings without a location apply to every definition.
        for number in of or range(len(definitions)):
            found[number].append(said)
    return found


def _capitalised(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping) and key == "options":
        return dict(value)  # a map of options of the log driver
    if isinstance(value, Mapping):
        return {
            _SPELLED.get(name, name[:1].upper() + name[1:]): _capitalised(inner, name)
            for name, inner in value.items()
        }
    return [_capitalised(inner) for inner in value] if isinstance(value, list) else value


def _region(definition: Mapping[str, Any]) -> str:
    for container in definition.get("containerDefinitions") or ():
        options = (container.get("logConfiguration") or {}).get("options") or {}
        if options.get("awslogs-region"):
            return options["awslogs-region"]
    return "us-east-1"


if __name__ == "__main__":
    json.dump(judge(json.loads(sys.argv[1])), sys.stdout)
