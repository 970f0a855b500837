"""The exported tasks on an emulator of ECS that starts real containers: served, rolled, broken."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from running_stack import Stack, copy_checkout, eventually
from web_client import Answer, ask

REQUESTS = 10_000  # during rolls
CLIENTS = 4
FAMILY = "homeport"
LONG = 900  # seconds, for a command


class Cloud(Stack):
    """The tasks of a copy of the checkout, two webs and a worker, behind the load balancer."""

    address: str
    replicas = ("--web", "2", "--worker", "1")

    @property
    def front(self) -> int:
        """The port of the load balancer."""
        return int(self.address.rpartition(":")[2])

    def cloud(self, *arguments: str, **options: Any) -> dict[str, Any]:
        """Run `./dev cloud ARGUMENTS --json`; return its answer."""
        ended = self.dev("cloud", *arguments, "--json", timeout=LONG, **options)
        return json.loads(ended.stdout)

    def ask(self, tenant: str, path: str = "/") -> Answer:
        host = f"{tenant}.localhost:{self.front}"
        return ask(self.front, "GET", path, host=host, headers={}, timeout=60)

    def client(self, name: str) -> Any:
        """A boto3 client of the emulator."""
        chosen = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(name, "eu-west-1", endpoint_url=self.address, **chosen)

    def tasks(self, service: str) -> set[str]:
        """The running tasks of a service."""
        found = self.client("ecs").list_tasks(cluster=FAMILY, serviceName=f"{FAMILY}-{service}")
        return set(found["taskArns"])

    def containers_of(self, service: str) -> list[dict[str, Any]]:
        """What Docker says of the containers of a service's tasks."""
        label = f"label=com.amazonaws.ecs.task-definition-family={FAMILY}-{service}"
        own = f"label=ministack.instance={self.project}-cloud:{self.front}"
        listed = self.run("docker", "ps", "--quiet", "--filter", label, "--filter", own).stdout
        return json.loads(self.run("docker", "inspect", *listed.split()).stdout) if listed else []

    def service(self) -> dict[str, Any]:
        chosen = {"cluster": FAMILY, "services": [f"{FAMILY}-web"]}
        (found,) = self.client("ecs").describe_services(**chosen)["services"]
        return found

    def exported(self, name: str) -> dict[str, Any]:
        return json.loads((self.checkout / ".dev/ecs" / f"{name}.json").read_text())


@dataclass
class Load:
    """Requests of both tenants by several clients, while the block runs.

    On a machine that is too busy, PostgreSQL accepts a connection later than web waits for it, and
    web itself answers 503 with Retry-After. Clients then try again, and `busy` counts that. What
    the load balancer answers is never tried again.
    """

    cloud: Cloud
    seen: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def wait(self, requests: int) -> None:
        while self.seen.total() + len(self.failures) < requests and not self.failures:
            time.sleep(0.1)

    def why(self) -> list[str]:
        """The failures, and what the webs logged of them."""
        logs = self.cloud.client("logs")
        found = [f"{len(self.failures)} failures", *self.failures[:3]]
        for request in re.findall(r'"request_id": "([^"]+)', " ".join(self.failures))[:3]:
            chosen = {"logGroupName": f"/{FAMILY}/production", "filterPattern": f'"{request}"'}
            events = logs.filter_log_events(**chosen)["events"]
            found += [one["message"] for one in events if request in one["message"]]
        return found

    def _ask(self, number: int) -> None:
        tenant = f"test{number % 2 + 1}"
        while not self._end.is_set():
            try:
                answer = self.cloud.ask(tenant)
            except OSError as error:
                self.failures.append(repr(error))
                continue
            if answer.status == 200 and f"<h1>{tenant}</h1>" in answer.text:
                self.seen[tenant] += 1
            elif answer.status == 503 and "Something this needs is down for now" in answer.text:
                self.busy.append(answer.text)
                time.sleep(1)
            else:
                self.failures.append(f"{answer.status} {answer.text[:200]}")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[Cloud]:
    checkout = tmp_path_factory.mktemp("cloud") / "home port"
    checkout.mkdir(mode=0o755)
    copy_checkout(checkout)
    found = Cloud(checkout, f"homeport-ecs-{os.getpid()}", {})
    image = f"{found.project}:production"
    file = ("--file", "backend/Dockerfile", "--target", "production")
    found.run("docker", "build", "--quiet", *file, "--tag", image, ".", timeout=LONG)
    try:
        found.dev("export", "ecs", "--image", image, "--family", FAMILY, timeout=LONG)
        tenants = ("--tenant", "test1", "--tenant", "test2")
        found.address = found.cloud("up", *tenants, *found.replicas)["address"]
        yield found
    finally:
        found.dev("cloud", "down", "--yes", check=False, timeout=LONG)
        found.run("docker", "rmi", "--force", image, check=False)


def settled(cloud: Cloud) -> Callable[[], bool]:
    """Whether two webs run, and no deployment is in progress."""

    def look() -> bool:
        states = {one["rolloutState"] for one in cloud.service()["deployments"]}
        return cloud.service()["runningCount"] == 2 and "IN_PROGRESS" not in states

    return look


@contextmanager
def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """An exported definition with a change, which the end takes back."""
    before = path.read_text()
    definition = json.loads(before)
    change(definition["containerDefinitions"][0])
    path.write_text(json.dumps(definition))
    try:
        yield
    finally:
        path.write_text(before)


def test_both_tenants_answer_through_the_load_balancer(cloud):
    for tenant in ("test1", "test2"):
        assert f"from the schema <code>{tenant}</code>" in cloud.ask(tenant).text
    assert cloud.ask("nosuch").status == 404
    assert json.loads(cloud.ask("test1", "/api/v1/health/").text)["status"] == "ok"


def test_the_containers_have_what_the_definitions_name(cloud):
    for service, count in (("web", 2), ("worker", 1)):
        containers = cloud.containers_of(service)
        assert len(containers) == count
        for one in containers:
            host = one["HostConfig"]
            assert one["Config"]["User"] == "1001:1001"
            assert (host["ReadonlyRootfs"], host["CapDrop"], host["Init"]) == (True, ["ALL"], True)
            assert host["Memory"] == 2048 * 2**20
            assert list(host["Tmpfs"]) == ["/tmp"]


def test_the_worker_works_and_logs_are_collected(cloud):
    code = "from core.celery import app; print(app.control.inspect(timeout=10).ping())"
    web = cloud.containers_of("web")[0]["Id"]
    shell = ("docker", "exec", web, "python", "manage.py", "shell", "-v", "0", "-c", code)
    assert "pong" in cloud.run(*shell).stdout
    streams = cloud.client("logs").describe_log_streams(logGroupName=f"/{FAMILY}/production")
    kinds = {one["logStreamName"].partition("/")[0] for one in streams["logStreams"]}
    assert kinds == {"web", "worker", "release"}


def test_a_roll_fails_no_request_and_releases_once_before(cloud):
    ecs = cloud.client("ecs")
    chosen = {"cluster": FAMILY, "startedBy": "dev-cloud", "desiredStatus": "STOPPED"}
    released = set(ecs.list_tasks(**chosen)["taskArns"])
    before = cloud.tasks("web") | cloud.tasks("worker")
    with Load(cloud) as load:
        load.wait(REQUESTS // 100)
        cloud.cloud("roll")
    assert not load.failures, (Counter(load.seen), load.why())
    after = cloud.tasks("web") | cloud.tasks("worker")
    assert len(after) == 3
    assert not after & before
    (release,) = ecs.describe_tasks(
        cluster=FAMILY, tasks=list(set(ecs.list_tasks(**chosen)["taskArns"]) - released)
    )["tasks"]
    assert release["taskDefinitionArn"].rpartition("/")[2].startswith(f"{FAMILY}-release:")
    new = ecs.describe_tasks(cluster=FAMILY, tasks=list(after))["tasks"]
    assert release["stoppedAt"] <= min(task["createdAt"] for task in new)


def test_no_request_fails_during_rolls(cloud):
    """One roll after another, until so many requests have been answered meanwhile."""
    rolls, end = 0, time.monotonic() + 2 * LONG
    with Load(cloud) as load:
        while load.seen.total() < REQUESTS and not load.failures and time.monotonic() < end:
            cloud.cloud("roll")
            rolls += 1
    assert not load.failures, (Counter(load.seen), load.why())
    print(f"{rolls} rolls, {load.seen.total()} requests: {dict(load.seen)}, {len(load.busy)} again")
    assert load.seen.total() >= REQUESTS
    assert len(load.busy) < REQUESTS // 500


def test_a_failed_release_replaces_nothing(cloud):
    before = cloud.tasks("web") | cloud.tasks("worker")
    broken = {"name": "DATABASE_CONN_MAX_AGE", "value": "soon"}
    file = cloud.checkout / ".dev/ecs/release.json"
    with changed(file, lambda container: container["environment"].append(broken)):
        ended = cloud.dev("cloud", "roll", check=False, timeout=LONG)
    assert ended.returncode == 1
    assert "release failed, so no service was replaced" in ended.stderr
    assert "DATABASE_CONN_MAX_AGE" in ended.stderr, "the log of the task is shown"
    assert cloud.tasks("web") | cloud.tasks("worker") == before


def test_a_web_that_does_not_start_is_rolled_back_while_the_old_ones_serve(cloud):
    before = cloud.tasks("web")
    file = cloud.checkout / ".dev/ecs/web.json"
    broken = {"name": "WEB_THREADS", "value": "many"}
    with Load(cloud) as load:
        with changed(file, lambda container: container["environment"].append(broken)):
            ended = cloud.dev("cloud", "roll", check=False, timeout=LONG)
        load.wait(100)
    assert not load.failures, load.why()
    assert ended.returncode == 1
    assert f"did not start, and was rolled back: {FAMILY}-web:" in ended.stderr
    assert "WEB_THREADS" in ended.stderr, "the log of the task is shown"
    assert before <= cloud.tasks("web")


def test_a_missing_parameter_is_refused_before_anything_is_replaced(cloud):
    registered = cloud.client("ecs").list_task_definitions()["taskDefinitionArns"]
    nosuch = {"name": "SENTRY_DSN", "valueFrom": f"/{FAMILY}/production/nosuch"}
    file = cloud.checkout / ".dev/ecs/web.json"
    with changed(file, lambda container: container["secrets"].append(nosuch)):
        ended = cloud.dev("cloud", "roll", check=False, timeout=LONG)
    assert ended.returncode == 1
    assert f"these parameters do not exist: /{FAMILY}/production/nosuch" in ended.stderr
    assert cloud.client("ecs").list_task_definitions()["taskDefinitionArns"] == registered


def test_the_circuit_breaker_rolls_a_missing_parameter_back(cloud):
    """Registered by hand, because `roll` refuses it."""
    eventually(settled(cloud), LONG)
    ecs, good = cloud.client("ecs"), cloud.service()["taskDefinition"]
    definition = cloud.exported("web")
    nosuch = {"name": "SENTRY_DSN", "valueFrom": f"/{FAMILY}/production/nosuch"}
    definition["containerDefinitions"][0]["secrets"].append(nosuch)
    bad = ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
    with Load(cloud) as load:
        ecs.update_service(cluster=FAMILY, service=f"{FAMILY}-web", taskDefinition=bad)
        eventually(lambda: cloud.service()["taskDefinition"] == good, LONG)
        load.wait(100)
    assert not load.failures, load.why()
    stopped = ecs.list_tasks(cluster=FAMILY, family=f"{FAMILY}-web", desiredStatus="STOPPED")
    found = ecs.describe_tasks(cluster=FAMILY, tasks=stopped["taskArns"])["tasks"]
    reasons = [task["stoppedReason"] for task in found if task["taskDefinitionArn"] == bad]
    assert reasons
    assert all(f"/{FAMILY}/production/nosuch" in reason for reason in reasons)
    ecs.deregister_task_definition(taskDefinition=bad)


@pytest.mark.parametrize("service", ["web", "worker"])
def test_a_killed_task_comes_back(cloud, service):
    eventually(settled(cloud), LONG)
    before = cloud.tasks(service)
    cloud.run("docker", "kill", cloud.containers_of(service)[0]["Id"])
    eventually(lambda: len(cloud.tasks(service) - before) == 1, LONG)
    eventually(lambda: len(cloud.containers_of(service)) == len(before), LONG)
    eventually(lambda: {cloud.ask("test1").status for _ in range(20)} == {200}, LONG)


def test_a_second_up_keeps_the_number_of_tasks(cloud):
    answer = cloud.cloud("up")
    assert {one["name"]: one["running"] for one in answer["services"]} == {
        f"{FAMILY}-web": 2,
        f"{FAMILY}-worker": 1,
    }


def test_nothing_listens_beyond_loopback(cloud):
    listening = cloud.run("ss", "-Hltn").stdout.splitlines()
    own = [line.split()[3] for line in listening if line.split()[3].endswith(f":{cloud.front}")]
    assert own == [f"127.0.0.1:{cloud.front}"]
    for name in ("web", "worker"):
        for one in cloud.containers_of(name):
            assert not any(one["NetworkSettings"]["Ports"].values())


def test_down_removes_all_that_up_made(cloud):
    """The last one: it ends the stack."""
    ssm, logs = cloud.client("ssm"), cloud.client("logs")
    ssm.put_parameter(Name=f"/{FAMILY}/production/by-hand", Value="kept", Type="String")
    logs.create_log_group(logGroupName=f"/{FAMILY}/production/by-hand")
    deleted = cloud.cloud("down", "--yes")["deleted"]
    assert len([one for one in deleted if ":service/" in one]) == 2
    assert not [one for one in deleted if "by-hand" in one]
    for kind in ("container", "volume", "network"):
        listed = ("docker", kind, "ls", *(["--all"] if kind == "container" else []))
        assert f"{cloud.project}-cloud" not in cloud.run(*listed).stdout
    filtered = f"label=ministack.instance={cloud.project}-cloud:{cloud.front}"
    assert cloud.run("docker", "ps", "-aq", "--filter", filtered).stdout == ""
    with pytest.raises(OSError, match="refused"):
        cloud.ask("test1")
    assert not list((cloud.checkout / ".dev").glob("cloud.*"))
    assert cloud.cloud("down", "--yes") == {"deleted": []}
