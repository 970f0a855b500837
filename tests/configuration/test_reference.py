"""Generated files follow their sources; the commands of the page on the environment run."""

from __future__ import annotations

import re
import shlex

import pytest
from compose_files import CHECKOUT

from devtools.commands import COMMANDS
from devtools.process import capture

PAGE = "docs/reference.md"


def dev(checkout, *arguments: str):
    command = [str(checkout.root / "dev"), *arguments]
    return capture(command, directory=checkout.root, environment=checkout.variables)


def test_every_command_is_in_it():
    text = (CHECKOUT / PAGE).read_text()
    assert all(f"| `./dev {name}` |" in text for name in COMMANDS)


def test_it_shows_nothing_unread_and_every_published_port():
    text = (CHECKOUT / PAGE).read_text()
    assert "``" not in text.replace("```", "")
    assert "SUPPRESS" not in text
    for name in ("docker-compose.yml", "docker-compose.prod.yml"):
        published = re.findall(r"\$\{(\w+):-(\d+)\}:\d+$", (CHECKOUT / name).read_text(), re.M)
        assert published
        assert all(f"| {port} | `{variable}` |" in text for variable, port in published)


@pytest.mark.parametrize("name", [PAGE, ".env.example"])
def test_an_edited_file_is_found_and_regenerated(copy, name):
    current = (copy.root / name).read_text()
    (copy.root / name).write_text(current + "mine\n")
    found = dev(copy, "reference", "--check")
    assert found.status == 1
    assert f"{name} is outdated" in found.errors
    assert dev(copy, "reference").ok
    assert (copy.root / name).read_text() == current


def test_a_new_variable_is_in_it(copy):
    contract = copy.root / "backend/core/env/contract.py"
    begin = "CONTRACT: tuple[Variable, ...] = (\n"
    new = '    Variable("NEW_LIMIT", "Logs", "A | limit.", default="a|b"),\n'
    contract.write_text(contract.read_text().replace(begin, begin + new))
    assert dev(copy, "reference").ok
    assert "| `NEW_LIMIT` | `a\\|b` | the same | A \\| limit. |" in (copy.root / PAGE).read_text()
    assert "# NEW_LIMIT=a|b" in (copy.root / ".env.example").read_text()


def test_a_service_without_limits_is_in_it(copy):
    file = copy.root / "docker-compose.yml"
    file.write_text(file.read_text().replace("services:\n", "services:\n  mail: {image: a:1}\n", 1))
    assert dev(copy, "reference").ok
    assert "| `mail` | `a:1` |" in (copy.root / "docs" / "reference.md").read_text()


def test_every_command_of_the_page_on_the_environment_runs(copy):
    page = (CHECKOUT / "docs/environment.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.M | re.S)
    lines = [line.split("  #")[0] for block in blocks for line in block.splitlines()]
    assert len(lines) > 8
    for line in lines:
        program, *arguments = shlex.split(line)
        found = dev(copy, *arguments)
        assert (program, found.status) == ("./dev", 0), f"{line}\n{found.errors}"
