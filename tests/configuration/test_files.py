"""The image, the scripts and the checks around them."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib

import pytest
from compose_files import CHECKOUT, read_yaml

from devtools import devcontainer

DOCKERFILE = (CHECKOUT / "backend" / "Dockerfile").read_text()


def stages() -> dict[str, str]:
    """Return the text of each stage of the Dockerfile, by name."""
    parts = re.split(r"^FROM \S+ AS (\w[\w-]*)$", DOCKERFILE, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_workspace_has_the_database_clients_of_the_server():
    server = re.match(r"postgres:(\d+)", read_yaml("docker-compose.yml")["services"]["db"]["image"])
    path = re.search(r"^ENV PATH=\$PATH:\S+/pginstall(\d+)/bin$", stages()["development"], re.M)
    assert path[1] == server[1]
    assert "postgresql-client" not in stages()["development"]


def test_dev_looks_where_the_main_process_of_the_workspace_keeps_its_files():
    script = (CHECKOUT / "backend" / "bin" / "workspace").read_text()
    assert f"home=${{1:-{devcontainer.HOME}}}" in script


@pytest.mark.parametrize("stage", ["development", "production"])
def test_the_image_does_not_run_as_root(stage):
    assert re.findall(r"^USER (.*)$", stages()[stage], re.M)[-1] == "$APP_UID:$APP_GID"


def test_the_image_can_be_built_where_no_registry_is_reachable():
    assert not re.search(r"^# *syntax=", DOCKERFILE, re.M)
    assert "@sha256:" not in DOCKERFILE


def test_requirements_are_installed_by_hash():
    installs = re.findall(r"\buv pip (?:sync|install).*", DOCKERFILE)
    assert installs
    assert all("--require-hashes" in one for one in installs)


def test_no_secret_is_written_into_the_image():
    assert not re.search(r"(SECRET|PASSWORD|TOKEN)\w*=", DOCKERFILE)


@pytest.mark.parametrize("script", sorted((CHECKOUT / "backend" / "bin").iterdir()), ids=str)
def test_scripts_can_be_executed(script):
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!")


def test_personal_files_are_ignored_by_git():
    # Links too: checkouts may share a .venv.
    for name in (".env", ".env.production", ".dev", ".dev/ports.json", ".venv", ".venv/bin/python"):
        ignored = subprocess.run(
            ["git", "check-ignore", "--quiet", name], cwd=CHECKOUT, check=False
        )
        assert ignored.returncode == 0, name


def test_a_file_of_tests_is_checked_like_a_folder_of_tests():
    backend = tomllib.loads((CHECKOUT / "backend/pyproject.toml").read_text())
    rules = tomllib.loads((CHECKOUT / "ruff.toml").read_text())["lint"]["per-file-ignores"]
    untyped = "|".join(backend["tool"]["mypy"]["exclude"])
    for path in ("polls/tests.py", "polls/tests/test_polls.py"):
        assert re.search(untyped, path)
    assert rules["**/tests.py"] == rules["**/tests/**"]
