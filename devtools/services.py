"""The roles of services that the commands refer to, by name."""

from __future__ import annotations

WEB = "web"
WORKER = "worker"
DATABASE = "db"
CACHE = "redis"
POOL = "pool"
RELEASE = "migrate"
TESTS = "test"
AWS = "localstack"
COGNITO = "cognito"
IMAGE = "image"
# The AWS emulators, each with a path that shows whether it is seeded.
EMULATORS = {AWS: "/_localstack/init/ready", COGNITO: "/moto-api/"}
