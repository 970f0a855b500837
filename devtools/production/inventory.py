"""A bill of materials of an image, CycloneDX 1.6: the locked packages that the image has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import pins
from ..checkout import Checkout
from ..errors import DevError
from . import licences

_LISTING = """
import importlib.metadata, json, platform, subprocess
debian = subprocess.run(
    ["dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\\n"],
    capture_output=True, text=True, check=True,
).stdout
print(json.dumps({
    "python": platform.python_version(),
    "packages": {one.name: one.version for one in importlib.metadata.distributions()},
    "debian": [line.split() for line in debian.splitlines()],
}))
"""


def bill_of_materials(checkout: Checkout, python: Path, image: str) -> dict[str, Any]:
    """Return the CycloneDX document of an image.

    Hashes come from the lock, licences from the packages; packages that the lock has for other
    platforms are omitted; Debian's packages and Python itself are added.

    Raises:
        DevError: if the image cannot be run, or has a package that is not locked.
    """
    found = _inside(checkout, image)
    document = _locked(checkout, python)
    packages = {pins.normal(name): version for name, version in found["packages"].items()}
    locked = {pins.normal(one["name"]): one for one in document["components"]}
    strangers = [
        f"{name} {version}"
        for name, version in sorted(packages.items())
        if locked.get(name, {}).get("version") != version
    ]
    if strangers:
        raise DevError(
            f"{image} has packages that {licences.LOCK} does not: {', '.join(strangers)}",
            "build it from this checkout: docker compose -f docker-compose.prod.yml build",
        )
    stated = licences.stated(checkout, python)
    for name, component in locked.items():
        component["licenses"] = stated.get(name, [])
    version = found["python"]
    document["components"] = [
        *({**locked[name], "bom-ref": f"pypi-{name}"} for name in sorted(packages)),
        _component("application", "python", version, f"pkg:generic/python@{version}"),
        *(
            _component("library", name, version, f"pkg:deb/debian/{name}@{version}?arch={arch}")
            for name, version, arch in found["debian"]
        ),
    ]
    document["metadata"] = {
        **document.get("metadata", {}),
        "component": {"type": "container", "name": image, "bom-ref": "image"},
    }
    # It refers to the lock's lines, which the document does not contain.
    document.pop("dependencies", None)
    return document


def _inside(checkout: Checkout, image: str) -> dict[str, Any]:
    done = checkout.run(
        [
            *("docker", "run", "--rm", "--network", "none", "--read-only", image),
            *("python", "-c", _LISTING),
        ],
        timeout=120,
    ).must(
        f"{image} cannot be inspected",
        "build it: docker compose -f docker-compose.prod.yml build; or name another: --image",
    )
    return json.loads(done.output)


def _locked(checkout: Checkout, python: Path) -> dict[str, Any]:
    done = checkout.run(
        [
            *(str(python), "-m", "cyclonedx_py", "requirements", licences.LOCK),
            *("--output-format", "JSON"),
        ]
    ).must(f"{licences.LOCK} cannot be listed")
    return json.loads(done.output)


def _component(kind: str, name: str, version: str, purl: str) -> dict[str, str]:
    return {"type": kind, "name": name, "version": version, "purl": purl, "bom-ref": purl}
