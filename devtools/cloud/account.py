"""What `./dev cloud` asks of AWS, by boto3. Run by a Python that has it:

    CLOUD_PLAN=JSON python -m devtools.cloud.account up|roll|status|down

The plan is that of devtools/commands/cloud.py. Prints a line of progress for each piece of work,
and at the end the answer as JSON, or `{"problems": [...]}` and exit status 1. Everything that it
makes is tagged with the family's name, and it removes nothing without that tag.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from typing import Any

import boto3
import botocore.exceptions

from ..errors import DevError, Problem

TAG = "dev-cloud"
SERVICES = ("web", "worker")
# Seconds: between two looks at a deployment, and until one that neither ends nor fails is given up.
INTERVAL, LONGEST = 2, 1800
# Of the log of a task that failed.
LINES = 20
# Requests that a stopping web has got may end; the exported stopTimeout begins after that.
DEREGISTRATION = "30"


class Cloud:
    """The stack of `plan`, which may not exist."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.family: str = plan["family"]
        self.prefix: str = plan["prefix"]
        # Only in the emulator: no credentials of this machine reach it.
        own = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self._session = boto3.Session(
            region_name=plan["region"], **(own if plan["endpoint"] else {})
        )
        self._tags = [{"Key": TAG, "Value": self.family}]
        self._ecs_tags = [{"key": TAG, "value": self.family}]

    def client(self, name: str) -> Any:
        """The client of an API, of the emulator or of the account."""
        return self._session.client(name, endpoint_url=self.plan["endpoint"])

    @cached_property
    def ecs(self) -> Any:
        """ECS."""
        return self.client("ecs")

    @cached_property
    def elb(self) -> Any:
        """The load balancers."""
        return self.client("elbv2")

    # --- the commands ------------------------------------------------------------------------

    def up(self) -> dict[str, Any]:
        """Make what is missing, run the release, start or replace the services."""
        self._logs()
        self._parameters()
        self.ecs.create_cluster(clusterName=self.family, tags=self._ecs_tags)
        group = self._load_balancer()
        return self._deploy(group)

    def roll(self) -> dict[str, Any]:
        """Run the release of the new definitions, then replace the services one task at a time."""
        if not self._services():
            raise DevError(f"no services of {self.family} run here", "start them: ./dev cloud up")
        self._parameters()
        return self._deploy("")

    def status(self) -> dict[str, Any]:
        """The services with their deployments, their tasks and the address."""
        return {
            "family": self.family,
            "address": next((one["DNSName"] for one in self._named("LoadBalancer")), None),
            "services": [
                {
                    "name": service["serviceName"],
                    "definition": _last(service["taskDefinition"]),
                    "desired": service["desiredCount"],
                    "running": service["runningCount"],
                    "deployment": _primary(service)["rolloutState"],
                    "tasks": [
                        {"id": _last(task["taskArn"]), "state": task["lastStatus"],
                         "definition": _last(task["taskDefinitionArn"])}
                        for task in self._tasks(service["serviceName"])
                    ],
                }
                for service in self._services()
            ],
        }  # fmt: skip

    def down(self) -> dict[str, Any]:
        """Remove what has the tag."""
        return {"deleted": list(self._removed())}

    # --- making ------------------------------------------------------------------------------

    def _logs(self) -> None:
        logs = self.client("logs")
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=self.prefix, tags={TAG: self.family})

    def _parameters(self) -> None:
        """Put the given values; all others must exist."""
        ssm, given = self.client("ssm"), self.plan["parameters"]
        wanted = sorted(
            {
                secret["valueFrom"]
                for definition in self.plan["definitions"].values()
                for container in definition["containerDefinitions"]
                for secret in container["secrets"]
            }
        )
        missing = []
        for name in wanted:
            value = given.get(name.removeprefix(f"{self.prefix}/"))
            try:
                if value is None:
                    ssm.get_parameter(Name=name)
                else:
                    ssm.put_parameter(Name=name, Value=value, Type="SecureString", Tags=self._tags)
            except ssm.exceptions.ParameterAlreadyExists:
                ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
            except ssm.exceptions.ParameterNotFound:
                missing.append(name)
        if missing:
            raise DevError(
                f"these parameters do not exist: {', '.join(missing)}",
                f'give their values: --parameters FILE, JSON, e.g. {{"{_last(missing[0])}": "…"}}',
            )
        say(f"{len(wanted)} parameters below {self.prefix}")

    @cached_property
    def _network(self) -> dict[str, Any]:
        """The chosen subnets, else those of the default VPC."""
        ec2, chosen = self.client("ec2"), self.plan["subnets"]
        default = [{"Name": "default-for-az", "Values": ["true"]}]
        found = ec2.describe_subnets(**({"SubnetIds": chosen} if chosen else {"Filters": default}))
        if not found["Subnets"]:
            raise DevError("there is no default VPC", "choose subnets: --subnet ID, twice")
        return {
            "vpc": found["Subnets"][0]["VpcId"],
            "subnets": [one["SubnetId"] for one in found["Subnets"]],
        }

    def _load_balancer(self) -> str:
        """The target group of web, behind a load balancer that terminates TLS."""
        plan, network = self.plan, self._network
        security = {"SecurityGroups": plan["security_groups"]} if plan["security_groups"] else {}
        (group,) = (
            self._named("TargetGroup")
            or self.elb.create_target_group(
                Name=self.family,
                Protocol="HTTP",
                Port=plan["port"],
                VpcId=network["vpc"],
                TargetType="ip",
                HealthCheckPort=str(plan["probe_port"]),
                HealthCheckPath=plan["probe_path"],
                HealthCheckIntervalSeconds=5,
                HealthCheckTimeoutSeconds=4,
                HealthyThresholdCount=2,
                Tags=self._tags,
            )["TargetGroups"]
        )
        arn: str = group["TargetGroupArn"]
        self.elb.modify_target_group_attributes(
            TargetGroupArn=arn,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": DEREGISTRATION}],
        )
        (balancer,) = (
            self._named("LoadBalancer")
            or self.elb.create_load_balancer(
                Name=self.family, Subnets=network["subnets"], Tags=self._tags, **security
            )["LoadBalancers"]
        )
        balancer = balancer["LoadBalancerArn"]
        if not self.elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]:
            redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
            for protocol, port, action, more in (
                ("HTTPS", 443, {"Type": "forward", "TargetGroupArn": arn},
                 {"Certificates": [{"CertificateArn": plan["certificate"]}]}),
                ("HTTP", 80, {"Type": "redirect", "RedirectConfig": redirect}, {}),
            ):  # fmt: skip
                self.elb.create_listener(
                    LoadBalancerArn=balancer,
                    Protocol=protocol,
                    Port=port,
                    DefaultActions=[action],
                    Tags=self._tags,
                    **more,
                )
        say(f"load balancer {self.family}")
        return arn

    # --- deploying ---------------------------------------------------------------------------

    def _deploy(self, group: str) -> dict[str, Any]:
        arns = {
            name: self.ecs.register_task_definition(**definition, tags=self._ecs_tags)[
                "taskDefinition"
            ]["taskDefinitionArn"]
            for name, definition in self.plan["definitions"].items()
        }
        say(f"definitions {', '.join(map(_last, arns.values()))}")
        self._once(arns["release"], [])
        for tenant in self.plan["tenants"]:
            self._once(arns["release"], ["python", "manage.py", "create_tenant", tenant])
        running = {service["serviceName"] for service in self._services()}
        for name in SERVICES:
            count = self.plan["counts"].get(name)
            scaled = {} if count is None else {"desiredCount": count}
            chosen = {"cluster": self.family, "taskDefinition": arns[name], **scaled}
            if self._name(name) in running:
                self.ecs.update_service(service=self._name(name), **chosen)
            else:
                self._create(name, group, {"desiredCount": 1, **chosen})
        for name in SERVICES:
            self._wait(self._name(name), arns[name])
        return self.status()

    def _create(self, name: str, group: str, chosen: dict[str, Any]) -> None:
        balanced = {
            "loadBalancers": [
                {"targetGroupArn": group, "containerName": name, "containerPort": self.plan["port"]}
            ],
            "healthCheckGracePeriodSeconds": 120,
        }
        self.ecs.create_service(
            serviceName=self._name(name),
            launchType="FARGATE",
            networkConfiguration=self._awsvpc(),
            deploymentConfiguration={
                "deploymentCircuitBreaker": {"enable": True, "rollback": True},
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
            },
            propagateTags="SERVICE",
            tags=self._ecs_tags,
            **chosen,
            **(balanced if name == "web" else {}),
        )

    def _awsvpc(self) -> dict[str, Any]:
        # Tasks in the public subnets of a default VPC have no other way to the registry.
        public = "DISABLED" if self.plan["subnets"] else "ENABLED"
        chosen: dict[str, Any] = {"subnets": self._network["subnets"], "assignPublicIp": public}
        if self.plan["security_groups"]:
            chosen["securityGroups"] = self.plan["security_groups"]
        return {"awsvpcConfiguration": chosen}

    def _once(self, definition: str, command: list[str]) -> None:
        """Run a command, or the release itself, as a task; wait for its end."""
        what = " ".join(command[2:]) or "release"
        say(f"running {what}")
        override = {"containerOverrides": [{"name": "release", "command": command}]}
        begun = self.ecs.run_task(
            cluster=self.family,
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration=self._awsvpc(),
            startedBy=TAG,
            tags=self._ecs_tags,
            **({"overrides": override} if command else {}),
        )
        if begun["failures"]:
            raise DevError(f"{what} was not started: {begun['failures'][0].get('reason')}")
        (task,) = begun["tasks"]
        chosen = {"cluster": self.family, "tasks": [task["taskArn"]]}
        self.ecs.get_waiter("tasks_stopped").wait(
            **chosen, WaiterConfig={"Delay": INTERVAL, "MaxAttempts": LONGEST // INTERVAL}
        )
        (task,) = self.ecs.describe_tasks(**chosen)["tasks"]
        if task["containers"][0].get("exitCode") != 0:
            raise DevError(
                f"{what} failed, so no service was replaced: {task['stoppedReason']}",
                "\n".join(self._last_lines("release", task["taskArn"])),
            )

    def _wait(self, name: str, definition: str) -> None:
        """Wait until ECS has replaced the tasks of a service, or has given up."""
        shown, end = "", time.monotonic() + LONGEST
        while time.monotonic() < end:
            (service,) = self._described([name])
            primary = _primary(service)
            line = f"{name}: {_last(primary['taskDefinition'])} {primary['rolloutState'].lower()}"
            line += f", {primary['runningCount']} of {primary['desiredCount']} run"
            if line != shown:
                say(shown := line)
            state = primary["rolloutState"]
            replaced = state == "COMPLETED" and primary["taskDefinition"] == definition
            if replaced and service["runningCount"] == service["desiredCount"]:
                return
            if state != "IN_PROGRESS" and not replaced:
                raise DevError(*self._why_it_failed(name, definition, primary))
            time.sleep(INTERVAL)
        raise DevError(f"{name} is not stable after {LONGEST // 60} minutes", "./dev cloud status")

    def _why_it_failed(
        self, name: str, definition: str, primary: dict[str, Any]
    ) -> tuple[str, str]:
        stopped = self._tasks(name, desiredStatus="STOPPED")
        reasons = [one for one in stopped if one["taskDefinitionArn"] == definition]
        lines = [f"{_last(one['taskArn'])}: {one['stoppedReason']}" for one in reasons[:1]]
        if reasons:
            lines += self._last_lines(name.rpartition("-")[2], reasons[0]["taskArn"])
        what = f"{_last(definition)} did not start"
        if primary["taskDefinition"] != definition:
            what += f", and was rolled back: {_last(primary['taskDefinition'])} serves"
        return what, "\n".join(lines)

    # --- looking -----------------------------------------------------------------------------

    def _name(self, service: str) -> str:
        return f"{self.family}-{service}"

    def _services(self) -> list[dict[str, Any]]:
        """The active services with the tag."""
        try:
            found = self._described([self._name(name) for name in SERVICES])
        except self.ecs.exceptions.ClusterNotFoundException:
            return []
        return [
            one for one in found if one["status"] == "ACTIVE" and self._is_ours(one.get("tags"))
        ]

    def _described(self, names: list[str]) -> list[dict[str, Any]]:
        chosen = {"cluster": self.family, "services": names, "include": ["TAGS"]}
        return self.ecs.describe_services(**chosen)["services"]

    def _tasks(self, service: str, **more: str) -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster=self.family, serviceName=service, **more)["taskArns"]
        if not arns:
            return []
        return self.ecs.describe_tasks(cluster=self.family, tasks=arns)["tasks"]

    def _last_lines(self, name: str, task: str) -> list[str]:
        """What a task's container `name` has logged last."""
        logs = self.client("logs")
        stream = f"{name}/{name}/{_last(task)}"
        try:
            found = logs.get_log_events(
                logGroupName=self.prefix, logStreamName=stream, limit=LINES, startFromHead=False
            )
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [one["message"] for one in found["events"]]

    def _named(self, kind: str) -> list[dict[str, Any]]:
        """The `LoadBalancer` or `TargetGroup` of this stack. Raises DevError if it has no tag."""
        describe = {
            "LoadBalancer": self.elb.describe_load_balancers,
            "TargetGroup": self.elb.describe_target_groups,
        }[kind]
        try:
            found = describe(Names=[self.family])[f"{kind}s"]
        except (
            self.elb.exceptions.LoadBalancerNotFoundException,
            self.elb.exceptions.TargetGroupNotFoundException,
        ):
            return []
        for one in found:
            arn = one[f"{kind}Arn"]
            tags = self.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
            if not self._is_ours(tags):
                raise DevError(
                    f"{arn} was not made by ./dev cloud up", "./dev export ecs --family NAME"
                )
        return list(found)

    def _is_ours(self, tags: list[dict[str, str]] | None) -> bool:
        return any(tag in (*self._tags, *self._ecs_tags) for tag in tags or ())

    # --- removing ----------------------------------------------------------------------------

    def _removed(self) -> Iterator[str]:
        for service in self._services():
            chosen = {"cluster": self.family, "service": service["serviceName"]}
            self.ecs.delete_service(**chosen, force=True)
            say(f"stopping {service['serviceName']}")
            self.ecs.get_waiter("services_inactive").wait(
                cluster=self.family, services=[service["serviceName"]]
            )
            yield service["serviceArn"]
        for balancer in self._named("LoadBalancer"):
            arn = balancer["LoadBalancerArn"]
            for listener in self.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]:
                self.elb.delete_listener(ListenerArn=listener["ListenerArn"])
            self.elb.delete_load_balancer(LoadBalancerArn=arn)
            self.elb.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[arn])
            yield arn
        for group in self._named("TargetGroup"):
            self.elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
            yield group["TargetGroupArn"]
        for name in self.plan["definitions"]:
            yield from self._deregistered(self._name(name))
        yield from self._forgotten_parameters()
        logs = self.client("logs")
        for group in logs.describe_log_groups(logGroupNamePrefix=self.prefix)["logGroups"]:
            arn = group["arn"].removesuffix(":*")
            if logs.list_tags_for_resource(resourceArn=arn)["tags"].get(TAG) == self.family:
                logs.delete_log_group(logGroupName=group["logGroupName"])
                yield arn
        clusters = self.ecs.describe_clusters(clusters=[self.family], include=["TAGS"])["clusters"]
        for cluster in clusters:
            if cluster["status"] == "ACTIVE" and self._is_ours(cluster["tags"]):
                self.ecs.delete_cluster(cluster=self.family)
                yield cluster["clusterArn"]

    def _deregistered(self, family: str) -> Iterator[str]:
        pages = self.ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family)
        for arn in [arn for page in pages for arn in page["taskDefinitionArns"]]:
            found = self.ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
            if found["taskDefinition"]["family"] == family and self._is_ours(found.get("tags")):
                self.ecs.deregister_task_definition(taskDefinition=arn)
                yield arn

    def _forgotten_parameters(self) -> Iterator[str]:
        ssm = self.client("ssm")
        pages = ssm.get_paginator("get_parameters_by_path").paginate(
            Path=self.prefix, Recursive=True
        )
        for name in [one["Name"] for page in pages for one in page["Parameters"]]:
            tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)
            if self._is_ours(tags["TagList"]):
                ssm.delete_parameter(Name=name)
                yield name


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, flush=True)


def _last(arn: str) -> str:
    return arn.rpartition("/")[2]


def _primary(service: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in service["deployments"] if one["status"] == "PRIMARY")


def main() -> int:
    """Run one command."""
    plan = json.loads(os.environ["CLOUD_PLAN"])
    try:
        cloud = Cloud(plan)
        account = cloud.client("sts").get_caller_identity()["Account"]
        if plan["endpoint"] is None and account != plan["account"]:
            raise DevError(
                f"the credentials are of account {account}, not {plan['account']}",
                "use others: AWS_PROFILE=NAME, or name that account",
            )
        say(json.dumps(getattr(cloud, sys.argv[1])()))
    except DevError as error:
        return _failed(*error.problems)
    except botocore.exceptions.NoCredentialsError:
        what = f"there are no credentials for account {plan['account']}"
        return _failed(Problem(what, "log in, or choose a profile: AWS_PROFILE=NAME"))
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        return _failed(Problem(" ".join(str(error).split())))
    return 0


def _failed(*problems: Problem) -> int:
    say(json.dumps({"problems": list(map(asdict, problems))}))
    return 1


if __name__ == "__main__":
    sys.exit(main())
