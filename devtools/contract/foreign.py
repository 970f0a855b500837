"""Variables that code reads or files set, but that other programs own."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

FILE = "devtools/contract/foreign.py"


class Foreign(NamedTuple):
    """Names that match the shell pattern `pattern` belong to `owner`."""

    pattern: str
    owner: str


FOREIGN = (
    Foreign("PATH", "the system: directories of programs"),
    Foreign("LANG", "the system: the locale"),
    Foreign("TERM", "the system: the terminal's capabilities"),
    Foreign("NO_COLOR", "the user: https://no-color.org"),
    Foreign("GIT_CONFIG_*", "git: settings of the dev container"),
    Foreign("SECONDS", "bash: how long the script has run"),
    Foreign("NO_PROXY", "the network: hosts to reach without its proxy"),
    Foreign("no_proxy", "the network: the same, for programs that read it in lower case"),
    Foreign("CODESPACE_NAME", "GitHub Codespaces: this codespace's name"),
    Foreign("GITHUB_CODESPACES_*", "GitHub Codespaces: the domain of forwarded ports"),
    Foreign("PYTHON*", "Python: unbuffered output, no bytecode files"),
    Foreign("DEBUGPY_RUNNING", "debugpy: whether this process is debugged"),
    Foreign("PYTEST_XDIST_WORKER", "pytest-xdist: the number of this test process"),
    Foreign("COMPOSE_FILE", "Docker Compose: the files that it reads"),
    Foreign("COMPOSE_PROFILES", "Docker Compose: the profiles that it starts"),
    Foreign("COMPOSE_PATH_SEPARATOR", "Docker Compose: the separator of the files"),
    Foreign("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "boto3: ignore AWS_ENDPOINT_URL"),
    Foreign("MOTO_*", "moto, which emulates Cognito: how it generates ids"),
    Foreign("CI_ENGINE", ".ci/run: the directory of programs that start a Docker daemon"),
    Foreign("DEBUG", "convention: verbose errors; production refuses it"),
    Foreign("SSM_PARAMETERS_FILLED", "core.env: tells child processes what was read"),
    Foreign("POSTGRES_USER", "PostgreSQL's image: the name of the superuser"),
    Foreign("POSTGRES_DB", "PostgreSQL's image: the name of the application's database"),
    Foreign("PGOPTIONS", "PostgreSQL's clients: options of a session"),
    Foreign("PGDATA", "PostgreSQL: the directory of its cluster"),
    Foreign("WORKER_DEBUG_HOST", "the editor in the dev container: see .vscode/launch.json"),
    Foreign("TEST_RUN", "development.test_runs: the number of a test run, for its processes"),
    Foreign("CLOUD_*", "devtools.cloud: what its two scripts are told"),
    Foreign("OMIT_SAMPLE_TENANTS", "the init script: a new database has no tenants"),
)


def owner(name: str) -> Foreign | None:
    """The entry for `name`; None if no other program owns it."""
    return next((entry for entry in FOREIGN if fnmatchcase(name, entry.pattern)), None)
