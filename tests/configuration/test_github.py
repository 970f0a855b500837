"""GitHub's workflows and updates: the same steps, pinned, with existing directories."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from compose_files import CHECKOUT, read_yaml

from devtools import devcontainer_cli

WORKFLOW = ".github/workflows/ci.yml"


def steps_of_ci() -> list[str]:
    listed = subprocess.run(
        [CHECKOUT / ".ci" / "run", "--list"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def test_every_step_of_ci_runs_on_github():
    jobs = read_yaml(WORKFLOW)["jobs"]
    matrix, weekly = (jobs[name]["strategy"]["matrix"] for name in ("check", "weekly"))
    more = [entry["step"] for chosen in (matrix, weekly) for entry in chosen["include"]]
    assert {*matrix["step"], *weekly["step"], *more} == set(steps_of_ci())


def test_an_unknown_step_is_refused_before_anything_runs():
    refused = subprocess.run(
        [CHECKOUT / ".ci" / "run", "lint", "unknown"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "there is no step unknown; steps: lint" in refused.stderr
    assert not refused.stdout


def test_actions_are_pinned_by_commit_and_name_their_version():
    uses = re.findall(r"uses: (\S+)(.*)", (CHECKOUT / WORKFLOW).read_text())
    assert uses
    for action, remark in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r"  # v\d+\.\d+\.\d+", remark)


def test_a_workflow_may_only_read_the_repository():
    assert read_yaml(WORKFLOW)["permissions"] == {"contents": "read"}


def test_updates_are_proposed_for_everything_that_is_pinned():
    updates = read_yaml(".github/dependabot.yml")["updates"]
    ecosystems = {update["package-ecosystem"] for update in updates}
    assert ecosystems >= {"pip", "docker", "docker-compose", "devcontainers", "github-actions"}
    places = {
        update["package-ecosystem"]: set(update.get("directories", [update.get("directory")]))
        for update in updates
    }
    for directory in set().union(*places.values()):
        assert (CHECKOUT / directory.lstrip("/")).is_dir(), directory
    files = ["git", "ls-files", "*Dockerfile", ":!tests"]
    tracked = subprocess.run(files, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    images = {f"/{Path(file).parent}" for file in tracked.stdout.split()}
    assert places["docker"] >= images


def test_the_dev_container_is_brought_up_by_the_version_that_the_tests_use():
    versions = re.findall(r"@devcontainers/cli@([\d.]+)", (CHECKOUT / WORKFLOW).read_text())
    assert set(versions) == {devcontainer_cli.VERSION}
