"""Variables that code reads or files set, but that other programs own."""

from __future__ import annotations

from fnmatch import fnmatchcase

FILE = "devtools/contract/foreign.py"


# By shell pattern of the names.
FOREIGN = {
    "PATH": "the system: directories of programs",
    "LANG": "the system: the locale",
    "TERM": "the system: the terminal's capabilities",
    "NO_COLOR": "the user: https://no-color.org",
    "GIT_CONFIG_*": "git: settings of the dev container",
    "SECONDS": "bash: how long the script has run",
    "NO_PROXY": "the network: hosts to reach without its proxy",
    "no_proxy": "the network: the same, for programs that read it in lower case",
    "CODESPACE_NAME": "GitHub Codespaces: this codespace's name",
    "GITHUB_CODESPACES_*": "GitHub Codespaces: the domain of forwarded ports",
    "PYTHON*": "Python: unbuffered output, no bytecode files",
    "DEBUGPY_RUNNING": "debugpy: whether this process is debugged",
    "PYTEST_XDIST_WORKER": "pytest-xdist: the number of this test process",
    "COMPOSE_FILE": "Docker Compose: the files that it reads",
    "COMPOSE_PROFILES": "Docker Compose: the profiles that it starts",
    "COMPOSE_PATH_SEPARATOR": "Docker Compose: the separator of the files",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "boto3: ignore AWS_ENDPOINT_URL",
    "MOTO_*": "moto, which emulates Cognito: how it generates ids",
    "CI_ENGINE": ".ci/run: the directory of programs that start a Docker daemon",
    "DEBUG": "convention: verbose errors; production refuses it",
    "SSM_PARAMETERS_FILLED": "core.env: tells child processes what was read",
    "POSTGRES_USER": "PostgreSQL's image: the name of the superuser",
    "POSTGRES_DB": "PostgreSQL's image: the name of the application's database",
    "PGOPTIONS": "PostgreSQL's clients: options of a session",
    "PGDATA": "PostgreSQL: the directory of its cluster",
    "WORKER_DEBUG_HOST": "the editor in the dev container: see .vscode/launch.json",
    "TEST_RUN": "development.test_runs: the number of a test run, for its processes",
    "CLOUD_*": "devtools.cloud: what its two scripts are told",
    "OMIT_SAMPLE_TENANTS": "the init script: a new database has no tenants",
}


def owner(name: str) -> str:
    """Who owns the variable `name`, and what it is; empty if no other program does."""
    return next((text for pattern, text in FOREIGN.items() if fnmatchcase(name, pattern)), "")
