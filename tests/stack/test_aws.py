"""S3, Parameter Store and Cognito of the stack: seeded, strict, killed and recovered."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest
from emulated_aws import fetched, use_aws
from restarts import recovers
from running_stack import eventually
from tenant_work import PROFILE, bearer, store

STORED = """
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django_tenants.utils import schema_context
from cloud.storage import TenantS3Storage
inside = TenantS3Storage(**settings.S3_STORAGE["OPTIONS"] | {"public_endpoint_url": None})
with schema_context("test1"):
    name = default_storage.save("a.txt", ContentFile(b"hello"))
    print(default_storage.url(name), inside.url(name), default_storage.url(name, expire=1))
"""
STORE_WHEN_TOLD = """
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django_tenants.utils import schema_context
print("ready", flush=True)
input()
with schema_context("test1"):
    try:
        default_storage.save("late.txt", ContentFile(b"hello"))
    except Exception as error:
        print(error)
"""
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"


@pytest.fixture(scope="module", params=["web", "worker"])
def addresses(request, stack) -> list[str]:
    """URLs of one file signed by a service: for browsers, for containers, about to expire."""
    stack.ensure_up()
    return stack.python(STORED, request.param).splitlines()[-1].split()


# --- presigned URLs -----------------------------------------------------------------------


def test_a_presigned_url_works_on_this_machine(running, addresses):
    public, _inside, _short = addresses
    port = running.ports["LOCALSTACK_PORT"]
    assert public.startswith(f"http://localhost:{port}/homeport-local/")
    assert fetched(public).text == "hello"


def test_a_presigned_url_for_containers_works_in_another_container(running, addresses):
    _public, inside, _short = addresses
    assert inside.startswith("http://localstack:4566/homeport-local/test1/")
    asked = running.compose("exec", "-T", "cognito", "python", "-c", FETCH, inside)
    assert asked.stdout.strip() == "hello"


def test_a_changed_presigned_url_is_refused(addresses):
    public, inside, short = addresses
    assert fetched(re.sub(r"Signature=\w{4}", "Signature=0000", public)).status == 403
    assert fetched(public.replace("/test1/", "/test2/")).status == 403
    # Signed for another host, which is why there are two clients.
    here = public.partition("/homeport-local")[0]
    moved = inside.replace("http://localstack:4566", here)
    assert fetched(moved).status == 403
    eventually(lambda: fetched(short).status == 403)


# --- the backend's own contract tests, with LocalStack ------------------------------------


def test_localstack_does_what_moto_does_and_refuses_forged_signatures(running):
    ended = running.compose(
        *("exec", "-T", "-e", "DJANGO_SETTINGS_MODULE=core.settings.test"),
        # These need no database; without an owner's log-in, settings would look for one.
        *("-e", "DATABASE_URL=postgres://app_owner@db:5432/homeport", "web"),
        *("pytest", "-q", "cloud/tests/test_storage.py", "cloud/tests/test_seed.py"),
        *("-m", "not django_db"),
        # It starts another emulator.
        *("-k", "not test_it_waits_for_an_emulator"),
        timeout=900,
    )
    assert re.search(r"^\d+ passed, \d+ deselected", ended.stdout, re.M), ended.stdout


# --- output of the seed -------------------------------------------------------------------


def test_a_second_seed_creates_nothing_and_needs_only_boto3(running):
    # As another emulator would run its hook.
    hook = "/etc/localstack/init/ready.d/seed_and_keep.py"
    lacking = "sys.modules |= dict.fromkeys(['localstack', 'moto', 'rolo', 'werkzeug'])"
    code = f"import sys; {lacking}; exec(open('{hook}').read(), {{}})"
    ended = running.compose("exec", "-T", "localstack", "python3", "-Bc", code)
    *_, seeded, kept = map(json.loads, ended.stdout.splitlines())
    assert (seeded["event"], seeded["made"]) == ("seeded", 0)
    assert kept["event"] == "changes are not kept"


# --- killed and recovered -----------------------------------------------------------------


def test_a_killed_emulator_is_reported_and_everything_comes_back(running):
    signed_in = bearer(running)
    in_web = ("docker", "compose", "exec", "-T", "web", "python", "manage.py", "shell")
    # A process that has started before, because a new one reads its parameters there.
    with subprocess.Popen(
        [*in_web, "--verbosity=0", "--command", STORE_WHEN_TOLD],
        cwd=running.checkout, env=running.environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as shell:  # fmt: skip
        assert shell.stdout.readline() == "ready\n"
        running.compose("kill", "localstack")
        started = time.monotonic()
        said, _errors = shell.communicate("now\n", timeout=60)
    assert "file store does not answer" in said
    assert time.monotonic() - started < 30
    answer = running.get("/api/v1/health/")
    assert (answer.status, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["down"] == ["files"]
    assert running.get(PROFILE, **signed_in).status == 200

    running.dev("up", timeout=600)
    eventually(lambda: running.health()["status"] == "ok")
    assert store(running) == "hello"


@pytest.mark.parametrize("emulator", ["localstack", "cognito"])
def test_an_emulator_restarted_alone_keeps_its_data_and_ids(running, emulator):
    # The pool, its client and the account's subject, so that accounts stay linked.
    with recovers(running, emulator, use=use_aws):
        container = running.containers(emulator)[emulator]
        running.run("docker", "kill", container)
        running.run("docker", "start", container)
