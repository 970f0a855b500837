"""The acceptance criteria: complete, chosen by id, and reported as they went."""

from __future__ import annotations

import io
import itertools
import json
import re

import pytest
from front_door import ROOT

from devtools import acceptance
from devtools.acceptance import criteria, report, run
from devtools.acceptance.criteria import CHAPTERS, CRITERIA, Criterion, Failed, NotApplicable
from devtools.acceptance.stack import Stack
from devtools.checkout import Checkout
from devtools.errors import DevError, UsageError
from devtools.terminal import Terminal

# How many criteria each chapter has; a chapter with sections: how many each section has.
COUNTS = {
    "LDE": (4, 4, 4, 4, 3, 3, 3, 3),
    "BC": 8,
    "BP": 19,
    "AWS": 5,
    "WS": 6,
    "PL": 5,
}


def expected() -> set[str]:
    ids = set()
    for chapter, count in COUNTS.items():
        if isinstance(count, int):
            ids |= {f"{chapter}-{number}" for number in range(1, count + 1)}
        else:
            for section, size in enumerate(count, 1):
                ids |= {f"{chapter}-{section}.{number}" for number in range(1, size + 1)}
    return ids


def a_criterion(check, identifier="BP-99", **more) -> Criterion:
    return Criterion(identifier, "a statement", check, more.pop("long", False), **more)


@pytest.fixture
def stack(tmp_path) -> Stack:
    return Stack(Checkout(tmp_path, {}), "embedded")


def outcome_of(stack, check, quick=False, **more):
    one = a_criterion(check, needs_docker=more.pop("needs_docker", ""), **more)
    (outcome,) = run.verify(stack, [one], quick=quick, terminal=None)
    return outcome


def raising(error):
    def check(stack):
        raise error

    return check


# --- which there are ----------------------------------------------------------------------


def test_every_criterion_has_its_check():
    assert set(CRITERIA) == expected()
    assert {one.chapter for one in CRITERIA.values()} == set(CHAPTERS)


def test_a_criterion_is_registered_once():
    with pytest.raises(ValueError, match="twice"):
        criteria.criterion("LDE-1.1", "again")(lambda stack: "")


@pytest.mark.parametrize(
    ("words", "first", "count"),
    [
        (["LDE-1.1"], "LDE-1.1", 1),
        (["lde-1"], "LDE-1.1", 4),
        (["BP-1"], "BP-1", 1),
        (["WS", "AWS"], "AWS-1", 11),
        ([], "LDE-1.1", len(expected())),
    ],
)
def test_criteria_are_chosen_by_id_or_by_its_beginning(words, first, count):
    chosen = acceptance.choose(words)
    assert chosen[0].id == first
    assert len(chosen) == count


def test_an_unknown_id_is_refused_with_the_near_one():
    with pytest.raises(UsageError) as refused:
        acceptance.choose(["LDE-11"])
    assert "LDE-11" in refused.value.problems[0].what
    assert "did you mean LDE-1.1?" in refused.value.problems[0].remedy


# --- what becomes of one ------------------------------------------------------------------


def test_what_a_check_saw_is_its_evidence(stack):
    outcome = outcome_of(stack, lambda stack: "200 in\n 5 ms")
    assert (outcome.status, outcome.evidence) == (run.PASS, "200 in 5 ms")


def test_a_failure_carries_finding_and_remedy(stack):
    outcome = outcome_of(stack, raising(Failed("nothing answers", "./dev up")))
    assert (outcome.status, outcome.evidence) == (run.FAIL, "nothing answers")
    assert outcome.remedy == "./dev up"


@pytest.mark.parametrize("error", [DevError("no"), KeyError("no"), OSError("no")])
def test_a_check_that_breaks_has_failed(stack, error):
    assert outcome_of(stack, raising(error)).status == run.FAIL


def test_what_needs_docker_is_not_applicable_without_it_and_says_why(stack):
    outcome = outcome_of(stack, raising(Failed("never run")), needs_docker="there is no image")
    assert (outcome.status, outcome.evidence) == (run.NOT_APPLICABLE, "there is no image")


def test_a_check_may_find_that_it_does_not_apply(stack):
    assert outcome_of(stack, raising(NotApplicable("why"))).status == run.NOT_APPLICABLE


def test_a_quick_run_leaves_long_ones_out_and_says_so(stack):
    assert outcome_of(stack, raising(Failed("never run")), True, long=True).status == run.LEFT_OUT
    assert outcome_of(stack, lambda stack: "seen", False, long=True).status == run.PASS


def test_one_failure_does_not_keep_the_others_from_being_checked(stack):
    checks = [raising(Failed("no")), lambda stack: "yes"]
    ones = [a_criterion(check, f"BP-{n}", needs_docker="") for n, check in enumerate(checks)]
    outcomes = run.verify(stack, ones, quick=False, terminal=None)
    assert [outcome.status for outcome in outcomes] == [run.FAIL, run.PASS]


def test_the_place_of_the_checkout_is_no_evidence(stack):
    outcome = outcome_of(stack, lambda stack: f"in {stack.checkout.root}/.dev/data")
    assert outcome.evidence == "in .dev/data"


def test_what_several_rest_on_is_looked_at_once(stack):
    looked = itertools.count(1)

    def check(stack):
        return f"look {next(looked)}"

    assert [stack.once(check), stack.once(check)] == ["look 1", "look 1"]


# --- what a check may change --------------------------------------------------------------


def test_an_edited_file_is_as_it_was_also_after_a_failure(stack):
    file = stack.checkout.root / "views.py"
    file.write_bytes(b"before\r\n")

    def fail_in_the_edit():
        with stack.appended("views.py", "after"):
            assert file.read_bytes() == b"before\r\nafter"
            raise Failed("it did not show")

    with pytest.raises(Failed):
        fail_in_the_edit()
    assert file.read_bytes() == b"before\r\n"


def test_what_was_made_is_removed_when_a_run_is_interrupted(stack):
    removed = []

    def interrupted(stack):
        stack.at_end(removed.append, "the tenant")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome_of(stack, interrupted)
    assert removed == ["the tenant"]


# --- how it is told -----------------------------------------------------------------------


@pytest.fixture
def outcomes(stack):
    checks = {
        "LDE-1.1": (lambda stack: "a | b", {}),
        "BP-3": (raising(Failed("no answer", "./dev up")), {}),
        "BP-5": (raising(Failed("never run")), {"needs_docker": "there is no image"}),
        "BP-6": (raising(Failed("never run")), {"long": True}),
    }
    ones = [
        a_criterion(check, name, **{"needs_docker": "", **more})
        for name, (check, more) in checks.items()
    ]
    return run.verify(stack, ones, quick=True, terminal=None)


def test_the_table_ends_with_the_count_and_the_way_to_repeat(outcomes):
    count, again = report.as_table(outcomes)
    assert count == "1 passed, 1 failed, 1 not applicable, 1 left out"
    assert again.endswith("./dev verify BP-3")


def test_json_has_every_outcome_and_the_verdict(outcomes):
    told = report.as_json(outcomes, "embedded")
    assert told["passed"] is False
    assert [one["status"] for one in told["criteria"]] == [
        "pass", "fail", "not applicable", "left out",
    ]  # fmt: skip
    json.dumps(told)


def test_the_page_has_a_table_for_each_chapter_and_cells_stay_whole(outcomes):
    page = report.as_markdown(outcomes, "embedded", "2 CPUs")
    assert "## Local environment" in page
    assert "## Workspace" not in page
    assert "a \\| b" in page
    rows = [line for line in page.splitlines() if re.match(r"\| [✔✖·-] ", line)]
    assert len(rows) == 4
    assert all(len(re.split(r"(?<!\\)\|", row)) == 7 for row in rows)


def test_a_failure_is_shown_with_what_was_wanted_and_what_to_type(stack):
    out = io.StringIO()
    one = a_criterion(raising(Failed("no answer", "./dev up")), needs_docker="")
    run.verify(stack, [one], quick=False, terminal=Terminal(out=out, variables={}))
    for word in ("BP-99", "no answer", "wanted: a statement", "try: ./dev up"):
        assert word in out.getvalue()


# --- the command --------------------------------------------------------------------------


def test_an_unknown_id_ends_the_command_with_a_usage_error(workspace):
    done = workspace.dev("verify", "NOSUCH-1")
    assert done.returncode == 2
    assert "there is no criterion 'NOSUCH-1'" in done.stderr


def test_without_a_stack_the_command_says_how_to_start_one(workspace):
    workspace.write("docker-compose.yml", (ROOT / "docker-compose.yml").read_text())
    done = workspace.dev("--engine", "embedded", "verify", "LDE-1.2")
    assert done.returncode == 1
    assert "./dev up" in done.stderr
    assert "Traceback" not in done.stderr


# --- tests as evidence --------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["not applicable: LocalStack is asked elsewhere", "no daemon"])
def test_a_skipped_test_shows_nothing_unless_it_belongs_elsewhere(stack, reason):
    said = f"SKIPPED [2] a.py:1: {reason}\n== 5 passed, 2 skipped in 1 s =="
    (stack.checkout.root / "dev").write_text(f"print({said!r})")
    if reason == "no daemon":
        with pytest.raises(Failed, match=r"not all was shown: .*no daemon"):
            stack.backend_tests()
    else:
        assert stack.backend_tests() == "5 passed, 2 skipped as not applicable here: ./dev test"
