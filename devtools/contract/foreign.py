"""Variables that code reads or files give, but that are not Homeport's: other programs own them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

FILE = "devtools/contract/foreign.py"


class Foreign(NamedTuple):
    """The names that match `pattern`, as a shell matches file names, belong to `owner`."""

    pattern: str
    owner: str


FOREIGN = (
    Foreign("PATH", "the system: where programs are found"),
    Foreign("LANG", "the system: which characters programs print"),
    Foreign("TERM", "the system: what the terminal can show"),
    Foreign("NO_COLOR", "the user: https://no-color.org"),
    Foreign("SECONDS", "bash: how long the script runs"),
    Foreign("NO_PROXY", "the network: hosts that are reached without its proxy"),
    Foreign("no_proxy", "the network: the same, for programs that read it in small letters"),
    Foreign("PYTHON*", "Python: lines are written at once, bytecode is not"),
    Foreign("DEBUGPY_RUNNING", "debugpy: this process is debugged"),
    Foreign("PYTEST_XDIST_WORKER", "pytest-xdist: which of several test processes this is"),
    Foreign("COMPOSE_FILE", "Docker Compose: which files it reads"),
    Foreign("COMPOSE_PROFILES", "Docker Compose: which profiles it starts"),
    Foreign("COMPOSE_PATH_SEPARATOR", "Docker Compose: what stands between them"),
    Foreign("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "boto3: looks at no AWS_ENDPOINT_URL"),
    Foreign("MOTO_*", "moto, which emulates Cognito: how it makes ids"),
    Foreign("DEBUG", "habit: elsewhere it makes errors talkative; production refuses to see it"),
    Foreign("SSM_PARAMETERS_FILLED", "core.env: a process tells its children what it read"),
    Foreign("POSTGRES_USER", "PostgreSQL's image: the name of the superuser"),
    Foreign("POSTGRES_DB", "PostgreSQL's image: the name of the application's database"),
    Foreign("PGOPTIONS", "PostgreSQL's clients: how a session begins"),
    Foreign("PGDATA", "PostgreSQL: where its cluster is"),
    Foreign("WORKER_DEBUG_HOST", "the editor in the dev container: see .vscode/launch.json"),
    Foreign("TEST_RUN", "development.test_runs: a run of the tests tells its processes its number"),
    Foreign("OMIT_SAMPLE_TENANTS", "the init script: production begins without test1 and test2"),
)


def owner(name: str) -> Foreign | None:
    """The entry for `name`; None if it is nobody else's."""
    return next((entry for entry in FOREIGN if fnmatchcase(name, entry.pattern)), None)
