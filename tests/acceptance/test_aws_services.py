"""AWS: emulated here, and reached as in the cloud, through the same variables."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from criteria import Seen, criterion
from running import ProductStack, Tenant
from running_stack import Failed

from devtools.checkout import Checkout

SEED = "init-scripts/aws/seed.py"
EMULATOR = "localstack"  # healthy means filled
PAGE = "docs/aws.md"

# Asked with nothing but web's environment, which is how the application asks.
_ASK = """
import json, os, boto3
s3, ssm, cognito = (boto3.client(name) for name in ("s3", "ssm", "cognito-idp"))
found = {
    "buckets": [one["Name"] for one in s3.list_buckets()["Buckets"]],
    "parameters": len(ssm.get_parameters_by_path(
        Path=os.environ.get("SSM_PARAMETER_PATH") or "/homeport/local", Recursive=True
    )["Parameters"]),
    "pools": [one["Name"] for one in cognito.list_user_pools(MaxResults=10)["UserPools"]],
    "endpoints": sorted({one.meta.endpoint_url for one in (s3, ssm, cognito)}),
}
print(json.dumps(found))
"""

_STORE = """
import json
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as storage
name = storage.save("verify.txt", ContentFile(b"kept"))
kept, url = storage.open(name).read().decode(), storage.url(name)
storage.delete(name)
kind = type(storage._wrapped if hasattr(storage, "_wrapped") else storage)
print(json.dumps([kept, kind.__module__, kind.__name__, url, storage.exists(name)]))
"""


@criterion("AWS-1", "LocalStack serves S3 and Parameter Store; Cognito is emulated")
def test_emulated(stack: ProductStack, seen: Seen) -> None:
    found = json.loads(stack.shell(_ASK))
    missing = [name for name in ("buckets", "parameters", "pools") if not found[name]]
    if missing:
        what = f"no {', no '.join(missing)} at {found['endpoints']}"
        raise Failed(what, f"./dev logs {EMULATOR}")
    seen(
        f"bucket {found['buckets'][0]}, {found['parameters']} parameters, "
        f"user pool {found['pools'][0]} at {', '.join(found['endpoints'])}"
    )


@criterion(
    "AWS-3",
    "the backend connects to the local services through environment-specific configuration",
)
def test_connected(stack: ProductStack, tenant: Tenant, seen: Seen) -> None:
    kept, module, name, url, left = json.loads(stack.shell(_STORE, tenant.name))
    if kept != "kept" or left:
        raise Failed(f"a stored file was read as {kept!r}; after delete it exists: {left}")
    if not module.startswith("cloud."):
        raise Failed(f"uploaded files are kept by {module}.{name}, not in S3")
    seen(f"stored, read and deleted by {module}.{name} at {url.split('?')[0]}")


@criterion("AWS-4", "the same variables serve local and cloud mode; drift is detected")
def test_no_drift(stack: ProductStack, seen: Seen) -> None:
    agreed = stack.dev("env", "--check").stdout.strip().splitlines()[-1]
    with tempfile.TemporaryDirectory(prefix="verify-") as directory:
        drifted = _with_drift(stack, Path(directory) / "checkout")
        noticed = drifted.dev("env", "--check", check=False)
    if noticed.returncode == 0:
        raise Failed("a variable was taken out of .env.example and ./dev env --check said nothing")
    seen(f"./dev env --check: {agreed}; a made drift is refused")


def _with_drift(stack: ProductStack, root: Path) -> ProductStack:
    """A copy of the checkout whose `.env.example` lacks a variable of the contract."""
    Checkout(stack.checkout).copy(root, {})
    (root / ".venv").symlink_to(stack.checkout / ".venv")
    example = root / ".env.example"
    example.write_text(re.sub(r"^# LOG_LEVEL=.*\n", "", example.read_text(), flags=re.M))
    return ProductStack(root, engine=stack.engine)


@criterion("AWS-5", "start-up scripts and documentation cover it")
def test_covered(stack: ProductStack, seen: Seen) -> None:
    stack.text(SEED)
    if "./dev " not in stack.text(PAGE):
        raise Failed(f"{PAGE} shows no command")
    (seeded,) = stack.services(EMULATOR)
    if not seeded["healthy"]:
        raise Failed(f"{EMULATOR} is {seeded['state']}", f"./dev logs {EMULATOR}")
    seen(f"{EMULATOR} is {seeded['state']}: {SEED} filled it; {PAGE} tells of it")
