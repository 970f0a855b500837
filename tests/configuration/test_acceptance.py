"""The acceptance criteria: complete, selectable by id, with consistent reports."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys

import pytest
import report
from compose_files import CHECKOUT
from criteria import CHAPTERS, Criterion, choose
from report import FAIL, LEFT_OUT, NOT_APPLICABLE, PASS, Outcome

from devtools.errors import UsageError
from devtools.terminal import Terminal

# proof: begin
# The number of criteria in each chapter, or in each of its sections.
COUNTS = {
    "LDE": (4, 4, 4, 4, 3, 3, 3, 3),
    "BC": 8,
    "BP": 19,
    "AWS": 5,
    "WS": 6,
    "PL": 5,
}
# proof: end
OUTCOMES = [
    Outcome(Criterion("LDE-1.1", "it starts"), PASS, "a | b", "", 1.0),
    Outcome(Criterion("BP-3", "it serves"), FAIL, "no answer", "./dev up", 2.0),
    Outcome(Criterion("BP-5", "it is small"), NOT_APPLICABLE, "there is no image", "", 0),
    Outcome(Criterion("BP-6", "it sells"), LEFT_OUT, "takes long", "", 0),
]


# proof: begin
def expected() -> list[str]:
    ids = []
    for chapter, count in COUNTS.items():
        if isinstance(count, int):
            ids += [f"{chapter}-{number}" for number in range(1, count + 1)]
        else:
            for section, size in enumerate(count, 1):
                ids += [f"{chapter}-{section}.{number}" for number in range(1, size + 1)]
    return ids


# proof: end
def verify(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "pytest", "tests/acceptance", "--capture=no")
    return subprocess.run(
        [*command, "--engine", "embedded", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_criterion_has_a_test_and_a_statement():
    listed = verify("--list")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    rows = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    assert [row[0] for row in rows] == expected()  # proof: line
    assert all(len(row) == 2 for row in rows)


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["LDE-1.1"], ["LDE-1.1"]),
        (["lde-1"], ["LDE-1.1", "LDE-1.2"]),
        (["BP-1"], ["BP-1"]),
        (["BP", "LDE-1.2"], ["LDE-1.2", "BP-1", "BP-10"]),
        ([], ["LDE-1.1", "LDE-1.2", "BP-1", "BP-10"]),
    ],
)
def test_criteria_are_selected_by_id_or_prefix(words, chosen):
    known = {name: Criterion(name) for name in ("LDE-1.1", "LDE-1.2", "BP-1", "BP-10")}
    assert [one.id for one in choose(known, words)] == chosen


def test_an_unknown_id_is_refused_with_a_suggestion():
    with pytest.raises(UsageError) as refused:
        choose({"LDE-1.1": Criterion("LDE-1.1")}, ["LDE-11"])
    assert "did you mean LDE-1.1?" in refused.value.problems[0].remedy
    ended = verify("--criteria", "LDE-11")
    assert ended.returncode == 2
    assert "error: there is no criterion 'LDE-11'" in ended.stderr


def test_json_has_every_outcome_and_the_verdict():
    told = json.loads(json.dumps(report.as_data(OUTCOMES, "embedded")))
    assert told["passed"] is False
    assert [one["status"] for one in told["criteria"]] == [
        "pass", "fail", "not applicable", "left out",
    ]  # fmt: skip


@pytest.mark.parametrize("as_json", [False, True])
def test_an_interrupted_run_writes_neither_page_nor_json(tmp_path, capsys, as_json):
    page, printed = tmp_path / "acceptance.md", io.StringIO()
    terminal = Terminal(out=printed)
    how = {"as_json": as_json, "page": str(page)}
    report.publish(terminal, OUTCOMES[:3], "embedded", chosen=4, **how)
    assert f"interrupted after 3 of 4 criteria; {page} was not written" in printed.getvalue()
    assert not page.exists()
    assert capsys.readouterr().out == ""

    report.publish(terminal, OUTCOMES, "embedded", chosen=4, **how)
    assert "| ✔ pass | LDE-1.1 |" in page.read_text()
    assert bool(capsys.readouterr().out) == as_json


def test_the_page_has_a_table_for_each_chapter_with_escaped_cells():
    page = report.as_markdown(OUTCOMES, "embedded", "2 CPUs")
    assert f"## {CHAPTERS['LDE']}" in page
    assert f"## {CHAPTERS['WS']}" not in page
    assert "1 passed, 1 failed, 1 not applicable, 1 left out" in page
    rows = [line for line in page.splitlines() if re.match(r"\| [✔✖·-] ", line)]
    assert len(rows) == 4
    assert all(len(re.split(r"(?<!\\)\|", row)) == 7 for row in rows)
