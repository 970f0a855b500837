"""A work tree beside the checkout, with its own containers and a copy of the data."""

import json
import subprocess

import pytest
from running_stack import Stack

KEPT = "from django.core.files.storage import default_storage as files"


@pytest.fixture
def repository(running):
    """The running stack, whose checkout is a git repository."""
    who = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    for words in ("init --quiet", "add --all", "commit --quiet --no-verify --message Begin"):
        running.run("git", *who, *words.split())
    return running


def test_a_work_tree_has_its_own_stack_with_the_data_of_this_one(repository):
    repository.dev("psql", "-c", "CREATE TABLE public.kept ()")
    store = f"{KEPT}; from io import BytesIO; files.save('of-the-work-tree.txt', BytesIO(b'kept'))"
    repository.dev("manage", "shell", "--tenant", "test1", "-c", store)
    beside = repository.checkout.with_name(f"{repository.checkout.name}-topic")
    other = Stack(beside, "homeport-topic", {})
    try:
        added = repository.dev("worktree", "add", "topic", "--copy-data")
        assert "./dev worktree remove topic" in added.stdout

        there = "SELECT to_regclass('public.kept') IS NOT NULL"
        assert other.dev("psql", "-AtX", "-c", there).stdout.strip() == "t"
        read = f"{KEPT}; print(files.open('of-the-work-tree.txt').read())"
        shown = other.dev("manage", "shell", "--tenant", "test1", "-c", read).stdout
        assert "b'kept'" in shown

        mine, theirs = json.loads(repository.dev("worktree", "list", "--json").stdout)
        assert (mine["path"], theirs["branch"]) == (str(repository.checkout), "topic")
        assert [one["healthy"] for tree in (mine, theirs) for one in tree["stacks"]] == [True, True]
        addresses = [tree["stacks"][0]["addresses"]["web"] for tree in (mine, theirs)]
        assert len({*addresses}) == 2
        assert all(tree["stacks"][0]["memory"] > 100 << 20 for tree in (mine, theirs))

        assert _layers("homeport-topic") == _layers(repository.project)

        (beside / "mine.txt").touch()
        removed = repository.dev("worktree", "remove", "topic", "--yes").stdout
        assert "uncommitted: mine.txt" in removed
        assert not beside.exists()
        assert not _volumes("homeport-topic")
        assert _layers(repository.project)  # its image is left
        assert repository.healthy()
    finally:
        if beside.exists():
            other.dev("clean", "--yes", check=False)
        repository.dev("psql", "-c", "DROP TABLE public.kept", check=False)


def _layers(project: str) -> str:
    """What the project's image consists of: the same layers are on the disk once."""
    image = f"{project}-backend:development"
    inspected = ("docker", "image", "inspect", "--format", "{{.RootFS.Layers}}", image)
    return subprocess.run(inspected, capture_output=True, text=True, check=True).stdout


def _volumes(project: str) -> str:
    named = ("--quiet", "--filter", f"label=com.docker.compose.project={project}")
    listed = ("docker", "volume", "ls", *named)
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout
