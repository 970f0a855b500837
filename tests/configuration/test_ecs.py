"""The task definitions match production's processes; definitions that AWS rejects are rejected."""

from __future__ import annotations

import copy as copies
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from compose_files import CHECKOUT

from devtools import project_table
from devtools.checkout import Checkout
from devtools.declared import compose, variables
from devtools.ecs import export, fargate, judge, tasks
from devtools.ecs.target import Target
from devtools.errors import DevError
from devtools.interpreter import Local
from devtools.process import capture

PYTHON = Local(Path(sys.executable))
IMAGE = "registry.example.com/business-backend:2026-11-20"
ROLE = "arn:aws:iam::123456789012:role/business"
HERE = Checkout(CHECKOUT, {"PATH": ""})


@pytest.fixture(scope="module")
def contract():
    return variables.load(HERE, PYTHON, compose.load(HERE, PYTHON))


@pytest.fixture(scope="module")
def files():
    return compose.load(HERE, PYTHON)


@pytest.fixture(scope="module")
def made(contract, files) -> dict[str, tasks.Task]:
    target = Target.of("business", IMAGE, execution_role=ROLE, task_role=ROLE)
    return {task.name: task for task in export.made(HERE, files, contract, target)}


def given(task: tasks.Task) -> tuple[dict[str, str], dict[str, str]]:
    """A task's plain variables and its SSM variables, by name."""
    container = task.container
    return (
        {entry["name"]: entry["value"] for entry in container["environment"]},
        {entry["name"]: entry["valueFrom"] for entry in container["secrets"]},
    )


# The export


def test_there_is_a_task_for_web_worker_and_release(made):
    for name in ("web", "worker", "release"):
        assert made[name].container["command"] == [f"bin/{name}"]
        assert made[name].container["image"] == IMAGE


def test_the_exported_tasks_pass_all_validators(made, contract):
    assert not export.judge(HERE, PYTHON, contract, list(made.values()))


def test_no_secret_is_written_into_a_task(made, contract):
    for task in made.values():
        plain, secret = given(task)
        assert not [name for name in plain if contract[name].secret]
        assert {"SECRET_KEY", "DATABASE_URL"} <= secret.keys()


def test_each_parameter_is_named_after_its_variable(made):
    _plain, secret = given(made["web"])
    assert secret == {name: f"/business/production/{name}" for name in secret}


def test_a_default_that_the_compose_file_has_is_kept(contract, files):
    changed = copies.deepcopy(files)
    given_to_web = changed[compose.PRODUCTION].services["web"]["environment"]
    given_to_web["SINGLE_TENANT"] = "${SINGLE_TENANT-acme_2}"
    target = Target.of("business", IMAGE, execution_role=ROLE, task_role=ROLE)
    web = next(one for one in export.made(HERE, changed, contract, target) if one.name == "web")
    assert given(web)[0]["SINGLE_TENANT"] == "acme_2"


def test_release_logs_in_with_another_role_than_web(made):
    _plain, secret = given(made["release"])
    assert secret["DATABASE_URL"] == "/business/production/release/DATABASE_URL"
    assert given(made["worker"])[1]["DATABASE_URL"] == "/business/production/DATABASE_URL"


def test_a_task_has_the_restrictions_of_its_container(made, files):
    for task in made.values():
        declared = files[compose.PRODUCTION].services[task.service]
        container = task.container
        assert container["readonlyRootFilesystem"] is declared["read_only"] is True
        assert container["user"] == "1001:1001"
        assert container["linuxParameters"]["capabilities"]["drop"] == declared["cap_drop"]
        assert {entry["containerPath"] for entry in container["linuxParameters"]["tmpfs"]} == {
            str(entry).partition(":")[0] for entry in declared["tmpfs"]
        }


def test_a_task_has_the_health_check_of_its_container(made, files):
    for name in ("web", "worker"):
        declared = files[compose.PRODUCTION].services[name]["healthcheck"]
        check = made[name].container["healthCheck"]
        assert check["command"] == ["CMD-SHELL", declared["test"]]
        assert f"{check['interval']}s" == declared["interval"]
    assert "healthCheck" not in made["release"].container


def test_a_task_is_at_least_as_large_as_its_container(made, files):
    for task in made.values():
        limits = files[compose.PRODUCTION].services[task.service]["deploy"]["resources"]["limits"]
        cpus = float(compose.with_defaults(str(limits["cpus"])))
        assert int(task.definition["cpu"]) >= cpus * 1024
        assert int(task.definition["memory"]) >= fargate.mebibytes(limits["memory"])


def test_the_architecture_is_that_of_the_image(made, contract, files):
    arm = export.made(HERE, files, contract, Target.of("business", IMAGE, architecture="ARM64"))
    chosen = {task.definition["runtimePlatform"]["cpuArchitecture"] for task in arm}
    assert (chosen, export.judge(HERE, PYTHON, contract, arm)) == ({"ARM64"}, [])
    assert made["web"].definition["runtimePlatform"]["cpuArchitecture"] == "X86_64"


def test_limits_of_fargate_are_reported(made):
    assert made["worker"].container["stopTimeout"] == tasks.LONGEST_STOP
    assert any("stops within 120 s" in note for note in made["worker"].notes)


def test_the_timeout_for_load_balancers_is_reported(made, contract):
    (note,) = (note for note in made["web"].notes if "idle_timeout" in note)
    assert f"{contract[tasks.KEEP_ALIVE].default} s" in note
    assert int(contract[tasks.KEEP_ALIVE].default) > 60  # the default of AWS load balancers


@pytest.mark.parametrize(
    ("cpus", "memory", "size"),
    [
        (0.25, 512, (256, 512)),
        (0.25, 513, (256, 1024)),
        (0.3, 256, (512, 1024)),
        (1.0, 1024, (1024, 2048)),
        (1.0, 9000, (2048, 9216)),
        (16.0, 122880, (16384, 122880)),
    ],
)
def test_the_smallest_sufficient_size_is_used(cpus, memory, size):
    assert fargate.smallest(cpus, memory) == size


def test_a_request_above_the_largest_size_is_refused():
    with pytest.raises(ValueError, match="no size with 17 CPUs"):
        fargate.smallest(17, 512)


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512), ("1G", 1024), ("1gb", 1024), ("1.5g", 1536), ("1", 1)]
)
def test_memory_is_parsed_like_in_compose(text, size):
    assert fargate.mebibytes(text) == size


# Rejected definitions


def broken(made, change) -> dict:
    definition = copies.deepcopy(made["web"].definition)
    change(definition, definition["containerDefinitions"][0])
    return definition


@pytest.mark.parametrize(
    ("said", "changed"),
    [
        ("would run as root", {"user": "0:0"}),
        ("would run as root", {"user": ""}),
        ("readonlyRootFilesystem:", {"readonlyRootFilesystem": False}),
        ("stopTimeout:", {"stopTimeout": 1}),
        ("interval is 5 to 300", {"healthCheck": {"command": [], "interval": 1}}),
        ("startPeriod is 0 to 300", {"healthCheck": {"command": [], "startPeriod": 301}}),
        ("supports only nofile", {"ulimits": [{"name": "nproc"}]}),
    ],
)
def test_what_works_with_docker_and_not_on_fargate_is_refused(made, said, changed):
    container = made["web"].container
    assert list(fargate.broken(container)) == []
    [found] = fargate.broken({**container, **changed})
    assert said in found


def test_boto3_validates_too(made):
    found = judge.judge(
        [
            made["web"].definition,
            broken(made, lambda d, c: c.update(memorySwap=1)),
            broken(made, lambda d, c: c.update(stopTimeout="soon")),
            broken(made, lambda d, c: d.update(networkMode="vpc")),
        ]
    )
    assert found[0] == []
    assert any("boto3" in said and "memorySwap" in said for said in found[1])
    assert any("boto3" in said and "stopTimeout" in said for said in found[2])
    assert any("boto3" in said and "networkMode is vpc" in said for said in found[3])


def test_bad_options_are_refused_all_at_once(files, contract):
    target = Target(
        "business:latest", "home port", "nowhere", "/aws/x", "admin", "root", "disk",
        given={"SECRET_KEY": "x", "NEW_LIMIT": "1", "DB_PORT": "1"},
        from_ssm=["NEWER", "DB_PORT"],
    )  # fmt: skip
    with pytest.raises(DevError) as caught:
        export.made(HERE, files, contract, target)
    said = "\n".join(problem.what for problem in caught.value.problems)
    for part in ("--image", "--family", "--region", "--prefix", "--execution-role", "--task-role",
                 "--file-system", "--set SECRET_KEY", "--set NEW_LIMIT", "--set DB_PORT",
                 "--ssm NEWER", "--set DB_PORT and --ssm DB_PORT"):  # fmt: skip
        assert part in said


def test_a_value_that_production_refuses_is_refused(files, contract):
    made = export.made(
        HERE, files, contract, Target.of("business", IMAGE, given={"SERVER": "runserver"})
    )
    said = [problem.what for problem in export.judge(HERE, PYTHON, contract, made)]
    assert len(said) == 3
    assert all("would not start: SERVER is a development server" in one for one in said)


def test_a_variable_with_a_default_comes_from_ssm_if_asked(files, contract):
    made = export.made(HERE, files, contract, Target.of("business", IMAGE, from_ssm=["LOG_LEVEL"]))
    assert given(made[0])[1]["LOG_LEVEL"] == "/business/production/LOG_LEVEL"


def test_a_production_file_without_one_of_the_processes_is_refused(files, contract):
    file = files[compose.PRODUCTION]
    services = {name: one for name, one in file.services.items() if name != "worker"}
    changed = {compose.PRODUCTION: replace(file, document={"services": services})}
    with pytest.raises(DevError, match="no service runs bin/worker"):
        export.made(HERE, changed, contract, Target.of("business", IMAGE))


def test_a_container_that_is_too_large_is_named_with_its_line(files, contract):
    file = copies.deepcopy(files[compose.PRODUCTION])
    file.services["web"]["deploy"]["resources"]["limits"]["cpus"] = "32"
    with pytest.raises(DevError, match=r"docker-compose\.prod\.yml:\d+: web: Fargate has no size"):
        export.made(HERE, {compose.PRODUCTION: file}, contract, Target.of("business", IMAGE))


# The command


def dev(checkout: Checkout, *arguments: str):
    command = [str(checkout.root / "dev"), *arguments]
    environment = checkout.variables
    return capture(command, directory=checkout.root, environment=environment, timeout=300)


def test_an_export_is_the_same_each_time_and_a_changed_file_is_found(copy):
    first = dev(copy, "export", "ecs")
    assert first.ok, first.errors
    name = project_table.name(CHECKOUT)
    assert f"/{name}/production/release/DATABASE_URL" in first.output
    assert "--execution-role was not given" in first.output
    directory = copy.root / export.DIRECTORY
    written = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert written.keys() >= {"web.json", "worker.json", "release.json"}
    assert json.loads(written["web.json"])["family"] == f"{name}-web"
    assert dev(copy, "export", "ecs", "--check").ok

    (directory / "web.json").write_bytes(written["web.json"].replace(b"awsvpc", b"bridge"))
    (directory / "old.json").write_text("{}")
    (directory / "worker.json").unlink()
    found = dev(copy, "export", "ecs", "--check")
    assert found.status == 1
    assert "web.json is outdated" in found.errors
    assert "old.json does not belong to any task" in found.errors
    assert "worker.json is missing" in found.errors
