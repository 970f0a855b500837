"""The target of an export: options that the files cannot contain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..declared.variables import PRODUCTION, Variable
from ..errors import Problem

# Placeholders for values of the account. They are valid, so that everything else can be checked.
PLACEHOLDER_ACCOUNT = "000000000000"
PLACEHOLDER_FILE_SYSTEM = "fs-00000000000000000"

# Of the processors that the image was built for.
ARCHITECTURES = ("X86_64", "ARM64")

# The variable for the region, the only one that boto3 reads.
REGION_VARIABLE = "AWS_DEFAULT_REGION"

_ROLE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+\Z")
_PREFIX = re.compile(r"(?!/(?:aws|ssm)(?:/|\Z))(?:/[\w.-]+){1,13}\Z", re.IGNORECASE)
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d\Z")
_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_FILE_SYSTEM = re.compile(r"fs-(?:[0-9a-f]{8}|[0-9a-f]{17})\Z")
_IMAGE = re.compile(r"[a-z0-9][\w.:/-]*(?::[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})\Z")


@dataclass(frozen=True)
class Target:
    """The options of an export, see `./dev export --help`. `given` are variables with values,
    `from_ssm` variables that are read from parameters."""

    image: str
    family: str
    region: str
    prefix: str
    execution_role: str
    task_role: str
    file_system: str
    architecture: str = "X86_64"
    given: Mapping[str, str] = field(default_factory=dict)
    from_ssm: Sequence[str] = ()

    @classmethod
    def of(cls, project: str, image: str, **options: Any) -> Target:
        """The target for `options`, with defaults that begin with the name of the project."""
        role = f"arn:aws:iam::{PLACEHOLDER_ACCOUNT}:role/{project}"
        defaults = {
            "family": project,
            "region": "eu-west-1",
            "prefix": f"/{project}/production",
            "execution_role": f"{role}-execution",
            "task_role": f"{role}-task",
            "file_system": PLACEHOLDER_FILE_SYSTEM,
        }
        return cls(image, **{**defaults, **options})

    def placeholders(self) -> Iterator[str]:
        """The options that still have a placeholder."""
        for option in ("execution_role", "task_role"):
            if PLACEHOLDER_ACCOUNT in getattr(self, option):
                yield _spelled(option)
        if self.file_system == PLACEHOLDER_FILE_SYSTEM:
            yield _spelled("file_system")
        if "/" not in self.image:
            yield _spelled("image")

    def problems(self, contract: Mapping[str, Variable]) -> list[Problem]:
        """All problems of the options."""
        return [*self._malformed(), *self._not_to_be_given(contract)]

    def _malformed(self) -> Iterator[Problem]:
        for option, form, example in (
            ("image", _IMAGE, "registry.example.com/backend:2026-11-20"),
            ("family", _FAMILY, "product"),
            ("region", _REGION, "eu-west-1"),
            ("prefix", _PREFIX, "/product/production"),
            ("execution_role", _ROLE, "arn:aws:iam::123456789012:role/product-execution"),
            ("task_role", _ROLE, "arn:aws:iam::123456789012:role/product-task"),
            ("file_system", _FILE_SYSTEM, "fs-0123456789abcdef0"),
        ):
            value = getattr(self, option)
            if not form.match(value) or (option == "image" and value.endswith(":latest")):
                what = f"{_spelled(option)}={value!r} is invalid"
                yield Problem(what, f"use this form: {_spelled(option)} {example}")

    def _not_to_be_given(self, contract: Mapping[str, Variable]) -> Iterator[Problem]:
        named = [*(("--set", name) for name in self.given), *(("--ssm", n) for n in self.from_ssm)]
        for name in self.given.keys() & set(self.from_ssm):
            yield Problem(
                f"--set {name} and --ssm {name} exclude each other", "leave out one of them"
            )
        for option, name in named:
            variable = contract.get(name)
            if variable is None:
                yield Problem(
                    f"{option} {name}: there is no such variable", "./dev env   lists them"
                )
            elif PRODUCTION not in variable.deployments or variable.reader != "backend":
                yield Problem(f"{option} {name}: the backend does not read it in production")
            elif variable.secret and option == "--set":
                yield Problem(
                    f"{option} {name}: a secret must not be written into a task definition",
                    f"store it in SSM as {self.prefix}/{name}, and use: --ssm {name}",
                )


def _spelled(option: str) -> str:
    return "--" + option.replace("_", "-")
