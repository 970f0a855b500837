"""Declarations, code and files agree on every variable; each disagreement is found."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from compose_files import CHECKOUT

from devtools.checkout import Checkout
from devtools.contract import drift, uses
from devtools.declared import compose, variables
from devtools.declared.dockerfile import stages
from devtools.declared.jsonc import parse
from devtools.interpreter import Local
from devtools.process import capture

CONTRACT = "backend/core/env/contract.py"
SETTINGS = "backend/core/settings/base.py"
LOCAL = "docker-compose.yml"
DEV_CONTAINER = ".devcontainer/devcontainer.json"


@dataclass(frozen=True)
class Finding:
    file: str
    line: int
    what: str
    remedy: str


def findings(checkout: Checkout) -> list[Finding]:
    """The findings of `./dev env --check` in the copy, run with the copy's ./dev."""
    command = [str(checkout.root / "dev"), "env", "--check", "--json"]
    done = capture(command, directory=checkout.root, environment=checkout.variables)
    assert done.output, done.errors
    found = [Finding(**one) for one in json.loads(done.output)]
    assert done.status == (1 if found else 0)
    return found


def append(checkout: Checkout, file: str, text: str) -> int:
    """Append `text` to `file`, which may not exist; return its line."""
    path = checkout.root / file
    path.parent.mkdir(exist_ok=True)
    before = path.read_text() if path.exists() else ""
    path.write_text(before + text)
    return before.count("\n") + 1


def replace(checkout: Checkout, file: str, old: str, new: str) -> int:
    """Replace the first `old` in `file` by `new`; return its line."""
    path = checkout.root / file
    before, found, after = path.read_text().partition(old)
    assert found, f"{file} has no {old!r} any more"
    path.write_text(before + new + after)
    return before.count("\n") + 1


def declare(checkout: Checkout, arguments: str) -> int:
    """Declare one more variable; return its line."""
    line = replace(
        checkout,
        CONTRACT,
        "CONTRACT: tuple[Variable, ...] = (\n",
        f"{BEGIN}    Variable({arguments}),\n",
    )
    return line + 1


BEGIN = "CONTRACT: tuple[Variable, ...] = (\n"


def test_doctor_reports_disagreements(copy):
    assert doctor(copy)["state"] == "ok"
    line = append(copy, SETTINGS, 'NEW = env["NEW_LIMIT"]\n')
    found = doctor(copy)
    assert (found["state"], found["finding"]) == (
        "wrong",
        f"{SETTINGS}:{line}: NEW_LIMIT is read but not declared",
    )
    assert CONTRACT in found["remedy"]


def doctor(checkout: Checkout) -> dict[str, str]:
    """The results of `./dev doctor drift` in the copy."""
    command = [str(checkout.root / "dev"), "--engine", "embedded", "doctor", "drift", "--json"]
    done = capture(command, directory=checkout.root, environment=checkout.variables)
    (found,) = json.loads(done.output)["checks"]
    return found


def test_undeclared_variables_that_code_reads(copy):
    reads = [
        (SETTINGS, 'NEW = env["NEW_LIMIT"]\n'),
        (SETTINGS, 'import os\nNEW = os.environ["NEW_LIMIT"]\n'),
        (SETTINGS, 'import os\nLIMIT = "NEW_LIMIT"\nNEW = os.environ[LIMIT]\n'),
        ("devtools/addresses.py", 'def f(checkout): return checkout.chosen("NEW_LIMIT")\n'),
        ("backend/bin/web", 'echo "$NEW_LIMIT"\n'),
        ("backend/bin/web", "echo ${NEW_LIMIT:-1}\n"),
        ("backend/bin/web", "values=$(python -m core.env get SERVER NEW_LIMIT)\n"),
        ("init-scripts/postgres/01-init-schemas.sql", "\\getenv limit NEW_LIMIT\n"),
        ("init-scripts/new/seed.sh", "#!/bin/sh\necho $NEW_LIMIT\n"),
    ]
    places = {(file, append(copy, file, text) + text.count("\n") - 1, text) for file, text in reads}
    found = findings(copy)
    seen = {(one.file, one.line) for one in found}
    assert [place for place in sorted(places) if place[:2] not in seen] == []
    assert len(found) == len(places)
    assert {one.what for one in found} == {"NEW_LIMIT is read but not declared"}
    assert all(CONTRACT in one.remedy for one in found)


@pytest.mark.parametrize(
    "text",
    [
        'env.bool("NEW_LIMIT")',
        'env("NEW_LIMIT", default=1)',
        'environ.Env()("NEW_LIMIT")',
        'environ.Env(NEW_LIMIT=int).int("NEW_LIMIT", 1)',
        'environ.get("NEW_LIMIT")',
        'getenv("NEW_LIMIT")',
        'config("NEW_LIMIT", cast=bool)',
        'decouple.config("NEW_LIMIT")',
        'dict(os.environ)["NEW_LIMIT"] if "NEW_LIMIT" in os.environ else None',
    ],
)
def test_every_ordinary_way_to_read_a_variable_is_seen(tmp_path, text):
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "new.py").write_text(f"NEW = {text}\n")
    assert uses.search(tmp_path) == [uses.Use("backend/new.py", 1, "NEW_LIMIT")]


def test_other_ways_are_forbidden_outside_the_contract(tmp_path):
    for name in ("ruff.toml", ".pre-commit-config.yaml"):
        (tmp_path / name).write_text((CHECKOUT / name).read_text())
    for place in ("backend/core/env", "backend/core/settings"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "new.py").write_text(
            "import environ\nfrom decouple import config as c\nfrom os import getenv as g\n"
        )
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    for command in (
        ["git", "init", "--quiet"],
        ["git", "add", "."],
        [sys.executable, "-m", "pre_commit", "run", "ruff-check", "--all-files"],
    ):
        done = capture(command, directory=tmp_path, environment=variables, timeout=300)
    found = re.findall(r"TID251 `(\S+)` is banned.*?\n\s*--> (\S+?):", done.output)
    assert {file for _name, file in found} == {"backend/core/settings/new.py"}, done.output
    assert {name for name, _file in found} == {"environ", "decouple", "os.getenv"}


@pytest.mark.parametrize("reader", ["backend", "dev", "compose"])
def test_a_declared_variable_that_is_never_read(copy, reader):
    line = declare(copy, f'"NEW_LIMIT", "Django", "A limit.", reader="{reader}"')
    found = [one for one in findings(copy) if one.file == CONTRACT]
    assert {one.line for one in found} == {line}
    assert any("NEW_LIMIT is declared but no" in one.what for one in found)


def test_a_variable_that_a_library_reads_by_itself(copy):
    declare(copy, '"NEW_LIMIT", "Django", "A limit.", library="boto3", deployments=LOCALLY')
    assert {one.file for one in findings(copy)} == {".env.example"}


def test_a_library_that_is_not_installed_reads_nothing(copy):
    line = declare(copy, '"NEW_LIMIT", "Django", "A limit.", library="boto4", deployments=LOCALLY')
    (found,) = (one for one in findings(copy) if one.file == CONTRACT)
    assert (found.line, "boto4" in found.what) == (line, True)


def test_a_variable_of_compose_that_the_backend_reads(copy):
    append(copy, SETTINGS, 'PORT = env["WEB_PORT"]\n')
    (found,) = findings(copy)
    assert found.what == "WEB_PORT is read by the backend but declared for compose"


def test_an_undeclared_variable_that_compose_interpolates(copy):
    line = replace(copy, LOCAL, "${WEB_CPUS:-1.0}", "${WEB_CPUS:-${NEW_LIMIT:-1.0}}")
    found = {(one.file, one.line, one.what) for one in findings(copy)}
    assert (LOCAL, line, "NEW_LIMIT is interpolated but not declared") in found


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${LOG_FORMAT:-console}", "is 'console' here, but by its declaration it is 'json'"),
        ("${LOG_FORMAT}", "is '' here, but by its declaration it is 'json'"),
        ("${LOG_FORMAT:?is needed}", "is required here, but by its declaration it is 'json'"),
    ],
)
def test_a_default_in_a_compose_file_that_is_not_the_declared_one(copy, written, said):
    line = replace(copy, LOCAL, "${LOG_FORMAT:-json}", written)
    (found,) = findings(copy)
    assert (found.file, found.line) == (LOCAL, line)
    assert said in found.what


def test_an_undeclared_variable_that_compose_sets(copy):
    line = replace(copy, LOCAL, "  LOG_FORMAT: ", "  NEW_LIMIT: 1\n  LOG_FORMAT: ")
    by_file = {one.file: one for one in findings(copy)}
    assert by_file[LOCAL].line == line
    assert by_file[LOCAL].what.startswith("NEW_LIMIT is set for ")
    for service in ("web", "worker", "migrate", "test"):
        assert service in by_file[LOCAL].what
    assert "but not declared" in by_file[LOCAL].what
    assert "(embedded)" in by_file[drift.EMBEDDED].what


@pytest.mark.parametrize("form", [{"A": 1, "B": None, "C": True}, ["A=1", "B", "C=true"]])
def test_both_forms_of_composes_environment_are_read(form):
    declared = compose.in_one_form({"services": {"web": {"environment": form}}})
    assert declared["services"]["web"]["environment"] == {"A": "1", "B": "", "C": "true"}


def test_a_variable_that_only_the_embedded_engine_sets(copy):
    line = replace(copy, drift.EMBEDDED, '"PYTHONUNBUFFERED": "1"', '"NEW_LIMIT": "1"')
    found = [one for one in findings(copy) if one.file == drift.EMBEDDED]
    assert [one.line for one in found] == [line]
    assert "NEW_LIMIT is set for" in found[0].what
    assert "web (embedded)" in found[0].what


def test_a_variable_that_the_image_sets(copy):
    line = replace(copy, "backend/Dockerfile", "ENV PATH=", "ENV NEW_LIMIT=1 PATH=")
    found = [one for one in findings(copy) if one.file == "backend/Dockerfile"]
    assert {one.line for one in found} == {line}
    assert all("NEW_LIMIT is set" in one.what for one in found)


def test_a_variable_that_is_set_in_the_wrong_deployment(copy):
    replace(
        copy,
        CONTRACT,
        'default="json",\n        example="console",\n',
        'default="json",\n        example="console",\n        deployments=PRODUCTION,\n',
    )
    found = [one for one in findings(copy) if one.file == LOCAL]
    assert found
    assert all("does not exist in local-compose" in one.what for one in found)


def test_a_variable_of_compose_exists_where_compose_files_name_it(copy):
    replace(copy, LOCAL, "127.0.0.1:${DB_PORT:-5432}:5432", "127.0.0.1:5432:5432")
    assert "DB_PORT is declared but no Compose file reads it" in {
        one.what for one in findings(copy)
    }
    files = compose.load(copy, Local(Path(sys.executable)))
    found = variables.load(copy, Local(Path(sys.executable)), files)
    assert found["DB_PORT"].deployments == ()
    assert found["APP_UID"].deployments == ("local-compose",)
    assert found["REDIS_PORT"].deployments == ("local-compose", "local-embedded")
    assert found["REDIS_PASSWORD"].deployments == ("production",)
    assert found["APP_PASSWORD"].deployments == ("local-compose", "local-embedded", "production")


def test_the_backend_finds_invalid_environments_of_processes(copy):
    replace(copy, LOCAL, "  WEB_BIND: 0.0.0.0:8000", "  WEB_BIND: everywhere")
    found = [one for one in findings(copy) if one.file == LOCAL]
    assert all("would not start: WEB_BIND is not HOST:PORT" in one.what for one in found)
    refused = {one.what.split()[0] for one in found}
    assert refused >= {"web", "worker", "migrate", "test"}


@pytest.mark.parametrize(
    ("more", "line"),
    [("", "NEW_LIMIT:"), (", required_in=PRODUCTION", "NEW_LIMIT: ${NEW_LIMIT}")],
)
def test_a_variable_that_production_does_not_pass_on_is_reported_with_the_line(copy, more, line):
    declared = f'"NEW_LIMIT", "Django", "A limit.", example="5"{more}'
    declare(copy, declared)
    append(copy, SETTINGS, '\nNEW_LIMIT = env["NEW_LIMIT"]\n')
    (found,) = [one for one in findings(copy) if one.file != ".env.example"]
    assert "NEW_LIMIT cannot be set in production" in found.what
    assert f"there: {line}\n" in found.remedy

    replace(copy, "docker-compose.prod.yml", "  LOG_LEVEL:\n", f"  LOG_LEVEL:\n  {line}\n")
    assert {one.file for one in findings(copy)} == {".env.example"}


@pytest.mark.parametrize(
    "text",
    [
        '{"containerEnv": {"NEW_LIMIT": "1",},} // mine',
        '{\n  /* mine */ "remoteEnv": {"NEW_LIMIT": "1"}}',
        '{"name": "${localEnv:NEW_LIMIT}"}',
    ],
)
def test_an_undeclared_variable_of_the_dev_container(copy, text):
    (copy.root / DEV_CONTAINER).parent.mkdir(exist_ok=True)
    (copy.root / DEV_CONTAINER).write_text(text)
    found = [one for one in findings(copy) if one.file == DEV_CONTAINER]
    assert [(one.line, one.what) for one in found] == [
        (text[: text.index("NEW_LIMIT")].count("\n") + 1, "NEW_LIMIT is named but not declared")
    ]


def test_an_undeclared_variable_of_the_dev_containers_compose_file(copy):
    override = ".devcontainer/docker-compose.new.yml"
    text = "services:\n  web:\n    environment:\n      NEW_LIMIT: ${NEWER}\n"
    append(copy, override, text)
    said = {one.what for one in findings(copy) if one.file == override}
    assert "NEW_LIMIT is set for web but not declared" in said
    assert "NEWER is interpolated but not declared" in said


def test_an_override_is_validated_together_with_its_base(copy):
    override = "docker-compose.new.yml"
    append(copy, override, "services:\n  web:\n    environment:\n      WEB_THREADS: many\n")
    (found,) = findings(copy)
    assert (found.file, found.line) == (override, 2)
    assert "web would not start: WEB_THREADS is not a whole number" in found.what


def test_an_undeclared_variable_of_the_dev_containers_env_file(copy):
    line = append(copy, ".devcontainer/new.env", "# mine\nNEW_LIMIT=1\n")
    (found,) = findings(copy)
    assert (found.file, found.line) == (".devcontainer/new.env", line + 1)


def test_a_stack_may_set_a_default_that_the_code_lacks(copy):
    replace(
        copy, LOCAL, "  LOG_FORMAT: ", "  WEB_CONCURRENCY: ${WEB_CONCURRENCY-3}\n  LOG_FORMAT: "
    )
    assert not findings(copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + "# NEW_LIMIT=1\n", "has, unlike the declarations, 'NEW_LIMIT=1'"),
        (lambda text: text.replace("# WEB_PORT=8000\n", ""), "lacks 'WEB_PORT=8000'"),
        (lambda text: text.replace("# WEB_PORT=8000\n", "# WEB_PORT=80\n"), "'WEB_PORT=80'"),
    ],
)
def test_an_outdated_example_file(copy, change, said):
    example = copy.root / ".env.example"
    example.write_text(change(example.read_text()))
    (found,) = findings(copy)
    assert found.file == ".env.example"
    assert said in found.what
    assert "./dev reference" in found.remedy


def test_all_disagreements_are_reported_at_once(copy):
    append(copy, SETTINGS, 'NEW = env["NEW_LIMIT"]\n')
    replace(copy, LOCAL, "${WEB_CPUS:-1.0}", "${WEB_CPUS:-4.0}")
    append(copy, ".env.example", "# NEWER=1\n")
    assert {one.file for one in findings(copy)} == {SETTINGS, LOCAL, ".env.example"}


def test_variables_that_a_shell_script_sets_are_ignored(copy):
    append(copy, "backend/bin/web", 'OWN=1\nfor EACH in a; do echo "$OWN $EACH"; done\n')
    assert not {"OWN", "EACH"} & {use.name for use in uses.search(copy.root)}


def test_the_editors_json_is_read_with_its_comments():
    text = '{"a": "http://x, }", /* b */ "c": [1, 2,], // d\n}'
    assert parse(text) == {"a": "http://x, }", "c": [1, 2]}


def test_a_stage_of_the_image_has_what_it_inherits():
    text = (
        "FROM x AS a\nARG U=7\nENV P=1 \\\n    # why\n    Q='2 3'\nUSER $U\nFROM a AS b\nENV P=4\n"
    )
    found = stages(text)
    assert found["b"].variables == {"P": "4", "Q": "2 3"}
    assert found["b"].user == "7"
    assert found["a"].variables["P"] == "1"


def test_a_service_may_use_every_form_that_compose_has(copy):
    file = copy.root / "docker-compose.yml"
    file.write_text(
        file.read_text().replace(
            "services:\n",
            """services:
  search:
    build: ./search
    depends_on: [db]
    environment: [A_SETTING=1]
    ports: ["9200", {target: 9300, published: 9300, host_ip: 127.0.0.1}]
    volumes: [{type: tmpfs, target: /tmp}, {type: bind, source: ./docs, target: /docs}]
    x-differs: {service: for developers only}
""",
            1,
        )
    )
    for command in (["env", "--check"], ["parity"], ["reference"]):
        found = capture(
            [str(copy.root / "dev"), *command], directory=copy.root, environment=copy.variables
        )
        assert "internal error" not in found.errors, found.errors
    assert "| `search` | the image of `./search` | `db` |" in copy.read("docs/reference.md")
