"""The backend's container: reachable, reloading, persistent, small and safe."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import socket
import struct
import subprocess

from criteria import Seen, criterion
from running import PRODUCTION_FILE, ProductStack, production_services
from running_stack import Failed

from devtools.ports import LOOPBACK
from devtools.services import CACHE, DATABASE, WEB

DOCKERFILE = "backend/Dockerfile"
VOLUMES = ("postgres_data", "redis_data", "media_data", "static_data")
KEPT = "verify-kept@example.com"

# The code that asks a PostgreSQL server whether it speaks TLS; it answers with one letter.
# https://www.postgresql.org/docs/current/protocol-message-formats.html
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@criterion(
    "BC-1",
    "application and database start and are reachable: web 8000, `/api/v1/docs/`, "
    "`/api/v1/health/`, PostgreSQL 5432, Redis 6379",
)
def test_reachable(stack: ProductStack, seen: Seen) -> None:
    for path in ("/", "/api/v1/docs/", "/api/v1/health/"):
        stack.api().get(path).must_be(200)
    database = _exchange(stack.port(DATABASE), SSL_REQUEST, 1)
    if database not in (b"N", b"S"):
        raise Failed(f"port {stack.port(DATABASE)} does not speak PostgreSQL's protocol")
    redis = _exchange(stack.port(CACHE), b"PING\r\n", 7)
    if not redis.startswith(b"+PONG"):
        raise Failed(f"port {stack.port(CACHE)} answered PING with {redis!r}")
    ports = [stack.port(name) for name in (WEB, DATABASE, CACHE)]
    seen("web {}: /, docs and health 200; PostgreSQL {}; Redis {}: PONG".format(*ports))


def _exchange(port: int, question: bytes, length: int) -> bytes:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
            connection.sendall(question)
            return connection.recv(length)
    except OSError as error:
        raise Failed(f"port {port}: {error}", "./dev status") from error


@criterion(
    "BC-3",
    "migrations can be made and applied by command; pending ones are applied at start",
    long=True,
)
def test_migrations(fresh: ProductStack, seen: Seen) -> None:
    for name, applied in (("verify_one", ["migrate"]), ("verify_two", ["down", "up"])):
        fresh.dev("makemigrations", "users", "--empty", "--name", name)
        for command in applied:
            fresh.dev(command, timeout=600)
        for tenant in fresh.tenants:
            if not any(one.endswith(name) for one in _applied(fresh, tenant)):
                raise Failed(f"after `./dev {applied[-1]}` {name} is not applied in {tenant}")
    seen("in every tenant one was applied by ./dev migrate, one by the next start")


def _applied(stack: ProductStack, tenant: str) -> list[str]:
    return stack.sql(f"SELECT name FROM {tenant}.django_migrations").splitlines()


@criterion(
    "BC-4",
    "data survives stop and start; named volumes for PostgreSQL, Redis, media and static files; "
    "removed only on an explicit command",
    long=True,
)
@criterion("AWS-2", "PostgreSQL initialises and persists")
def test_data_survives(fresh: ProductStack, seen: Seen) -> None:
    tenant = fresh.tenants[0]
    fresh.shell(
        f"from users.models import User; User.objects.get_or_create(email={KEPT!r})", tenant
    )
    fresh.dev("down")
    places = _places(fresh)
    fresh.dev("up", timeout=600)
    if KEPT not in fresh.sql(f"SELECT email FROM {tenant}.users_user").splitlines():
        raise Failed("an account was gone after ./dev down and ./dev up")
    asked = fresh.dev("down", "--volumes", check=False)
    if asked.returncode == 0:
        raise Failed("./dev down --volumes deleted the data without being told --yes")
    seen(f"an account outlived down and up in {places}; deleting is refused without --yes")


def _places(fresh: ProductStack) -> str:
    if not fresh.in_docker:
        found = sorted(path.name for path in (fresh.checkout / ".dev" / "data").iterdir())
        return f".dev/data ({', '.join(found)})"
    listed = fresh.docker("volume", "ls", "--quiet", "--filter", f"name={fresh.project}_").stdout
    missing = [name for name in VOLUMES if f"{fresh.project}_{name}" not in listed.split()]
    if missing:
        raise Failed(f"no named volume {', '.join(missing)} after ./dev down")
    return f"named volumes {', '.join(VOLUMES)}"


@criterion(
    "BC-5",
    "non-root user 1001, no secret in an image, resource limits, read-only where possible",
    needs_docker="images, limits and read-only file systems are Docker's",
)
def test_hardened(stack: ProductStack, production_image: str, seen: Seen) -> None:
    looked = json.loads(stack.docker("image", "inspect", production_image).stdout)[0]["Config"]
    if looked["User"] != "1001:1001":
        raise Failed(f"the production image runs as {looked['User']!r}")
    layers = ("history", "--no-trunc", "--format", "{{.CreatedBy}}", production_image)
    declared = stack.docker(*layers).stdout + str(looked["Env"])
    secret = re.search(r"\b\w*(SECRET|PASSWORD|TOKEN|PRIVATE)\w*=\S+", declared)
    if secret:
        raise Failed(f"the image's history or environment holds {secret.group().split('=')[0]}")
    if stack.compose("exec", "-T", WEB, "id", "-u").stdout.strip() == "0":
        raise Failed("web runs as root")
    unlimited = [name for name, one in _local(stack).items() if not _limits(one)]
    services = production_services(stack)
    writable = [name for name, one in services.items() if not one.get("read_only")]
    unlimited += [name for name, one in services.items() if not _limits(one)]
    if unlimited:
        raise Failed(f"no limit of memory and CPU for {', '.join(unlimited)}")
    if writable:
        raise Failed(f"{PRODUCTION_FILE}: {', '.join(writable)} may write anywhere")
    seen(f"user 1001:1001, no secret in its history, limits everywhere, {len(services)} read-only")


def _local(stack: ProductStack) -> dict:
    return json.loads(stack.compose("config", "--format", "json").stdout)["services"]


def _limits(service: dict) -> bool:
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    return bool(limits.get("memory") and limits.get("cpus"))


@criterion("BC-6", "multi-stage build, cache mounts, ordered layers, small images")
def test_build(stack: ProductStack, seen: Seen) -> None:
    text = stack.text(DOCKERFILE)
    stages = re.findall(r"^FROM \S+ AS ([\w-]+)", text, re.M)
    mounts = text.count("--mount=type=cache")
    if not {"development", "production"} <= set(stages) or mounts < 2:
        raise Failed(f"{DOCKERFILE} has stages {', '.join(stages)} and {mounts} cache mounts")
    requirements, source = text.rindex("COPY requirements/"), text.index("COPY backend ")
    if requirements > source:
        raise Failed(f"{DOCKERFILE} copies the source before the requirements")
    seen(f"stages {', '.join(stages)}; {mounts} cache mounts; requirements before source")


@criterion(
    "BC-7",
    "one-command start, helper with common commands, coloured output, clear errors, visible health",
)
def test_front_door(stack: ProductStack, seen: Seen) -> None:
    listed = re.findall(r"^  ([a-z]+)  ", stack.dev("help").stdout, re.M)
    mistyped = stack.dev("stauts", check=False)
    if mistyped.returncode != 2 or "did you mean status?" not in mistyped.stderr:
        raise Failed(f"./dev stauts: {mistyped.returncode}, {mistyped.stderr}")
    shown = _on_a_terminal(stack, "status")
    if "\x1b[32m" not in shown:
        raise Failed("./dev status has no colour on a terminal")
    if "health" not in shown:
        raise Failed("./dev status does not show health")
    seen(f"{len(listed)} commands; a mistyped one is answered with the near one; status in colour")


def _on_a_terminal(stack: ProductStack, *arguments: str) -> str:
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in stack.environment().items() if k != "NO_COLOR"}
    child = subprocess.Popen(
        ["./dev", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm"},
        cwd=stack.checkout,
    )
    os.close(theirs)
    said = b""
    try:
        while select.select([ours], [], [], 60)[0]:
            part = os.read(ours, 65536)
            if not part:
                break
            said += part
    except OSError:
        pass  # Linux says so when the other end is closed
    finally:
        os.close(ours)
        child.wait(60)
    return said.decode("utf-8", "replace")


@criterion("BC-8", "separate production stage, deployment checks, logs to stdout, health endpoints")
def test_production_ready(stack: ProductStack, seen: Seen) -> None:
    if not re.search(r"^FROM \S+ AS production", stack.text(DOCKERFILE), re.M):
        raise Failed(f"{DOCKERFILE} has no stage `production`")
    live = stack.api().get("/api/v1/health/live/").must_be(200).json()
    ready = stack.api().get("/api/v1/health/").must_be(200).json()
    seen(f"liveness {live['status']}, readiness {ready['status']}")
