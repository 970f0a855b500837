"""`./dev bench`: what it shows of what was measured, and the page that is made of it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from front_door import ROOT

from bench import beside, commands, container, copy, growth, growth_page, parts, production
from bench import run as performance
from bench.measure import Measure
from devtools import environment
from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.terminal import Terminal

_PARTS = parts.PARTS  # before a test replaces them
MEASURES = [
    Measure("start", "s", 4, [3.0, 5.0, 3.5]),
    Measure("ratio", "x", 1.5, [2.0]),
    Measure("answers", "/s", 100, [120, 130], at_least=True),
    Measure("size", "MiB", None, [10.25, 11.25]),
    Measure("memory", "MB", 500, []),
]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout in which two parts can be measured, at no cost."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docker-compose.yml").write_text("services: {}\n")

    def first(checkout, terminal, rounds):
        return [Measure("start", "s", 4, [3.0] * rounds)]

    def second(checkout, terminal, rounds):
        return [Measure("ratio", "x", 2, [1.5] * rounds)]

    monkeypatch.setattr(parts, "PARTS", {"first": first, "second": second})
    monkeypatch.setattr(performance, "PARTS", parts.PARTS)
    return Checkout(tmp_path, {"DEV_ENGINE": "embedded", "PATH": ""})


def _part(checkout, name, rounds=2):
    return performance.part(checkout, Terminal(), name, rounds)


def test_each_figure_has_its_spread_its_goal_and_a_verdict():
    head, *lines = parts.report(MEASURES)
    assert head.split() == ["MEDIAN", "SPREAD", "GOAL"]
    assert [line.split() for line in lines] == [
        ["start", "3.50", "s", "3", "to", "5", "s", "at", "most", "4", "s", "met"],
        ["ratio", "2", "x", "once", "at", "most", "1.50", "x", "missed"],
        ["answers", "125", "/s", "120", "to", "130", "/s", "at", "least", "100", "/s", "met"],
        ["size", "10.8", "MiB", "10.2", "to", "11.2", "MiB", "no", "goal"],
        ["memory", "at", "most", "500", "MB", "not", "measurable", "here"],
    ]


def test_what_is_kept_is_what_was_measured():
    kept = json.loads(json.dumps([one.as_json() for one in MEASURES]))
    assert [Measure.of_json(facts) for facts in kept] == MEASURES


def test_a_run_says_on_which_machine_and_under_which_load(checkout):
    found = _part(checkout, "first")
    assert found["machine"]["engine"] == "embedded"
    assert found["machine"]["cores"] > 0
    assert found["machine"]["memory"] > 1e6
    assert found["machine"]["docker"] == ""  # none is on this PATH
    assert [*found["load"]] == ["start", "end"]
    assert len(found["load"]["start"]) == 3
    assert found["rounds"] == 2


def test_the_page_keeps_the_parts_that_were_not_measured_again(checkout):
    performance.write_docs(checkout, {"second": _part(checkout, "second")})
    performance.write_docs(checkout, {"first": _part(checkout, "first", rounds=5)})
    kept = performance.load(checkout.root / performance.KEPT)
    assert [*kept] == ["first", "second"]
    page = (checkout.root / performance.PAGE).read_text()
    assert "| start | 3 s | 3 to 3 s | at most 4 s | met |" in page
    assert "| ratio | 1.50 x |" in page
    assert "5 rounds" in page


def test_the_page_in_docs_is_made_from_what_is_kept_beside_it():
    kept = performance.load(ROOT / performance.KEPT)
    assert kept
    assert (ROOT / performance.PAGE).read_text() == performance.page(kept)


def _grown(checkout, **figures):
    """Kept figures: two for each name, of 2 and of 102 tenants."""
    measures = [
        Measure(name.format(f"{size} tenants"), "MB", None, [value])
        for name, values in figures.items()
        for size, value in zip((2, 102), values, strict=True)
    ]
    return {**_part(checkout, "first"), "measures": [one.as_json() for one in measures]}


def test_growth_is_shown_by_size_with_what_bounds_it(checkout):
    figures = {
        "status, {}": (1, 3),
        "relations, {}": (700, 13_700),
        "files, {}": (600, 13_600),
        "database, {}": (12, 212),
        "connection that saw all tables, {}": (3, 43),
        "release with a migration, {}": (2, 52),
    }
    page = growth_page.page({"growth": _grown(checkout, **figures)})
    assert "|  | 2 tenants | 102 tenants |" in page
    assert "| status | 1 MB | 3 MB |" in page
    assert "| relations of PostgreSQL: tables, indexes, sequences | 130 |" in page
    assert "| a release with a migration, processor time | 0.50 s |" in page
    # 0.4 MB of each of the 50 tenants after which a connection ends
    assert "| 0.4 GB | 1.0 GB | 2.0 GB |" in page
    assert "10 minutes of a processor at 1,200 tenants" in page
    assert "Above 102 tenants it is reckoned" in page


def test_growth_is_told_up_to_how_many_tenants(checkout, monkeypatch):
    told = []

    def part(checkout, terminal, rounds):
        told.append(checkout.variables[growth.VARIABLE])
        return MEASURES

    monkeypatch.setattr(parts, "PARTS", {"growth": part})
    monkeypatch.setattr(performance, "PARTS", parts.PARTS)
    options = SimpleNamespace(parts=[], rounds=1, tenants=2000)
    run = SimpleNamespace(checkout=checkout, terminal=Terminal(), asked_engine="", options=options)
    monkeypatch.setattr(performance, "about", lambda _: "")
    assert commands._measure(run)[1] == 0
    assert told == ["2000"]


def test_growth_keeps_what_it_has_found_when_it_is_interrupted(checkout, monkeypatch):
    def at(_stack, tenants):
        if tenants > growth.THERE:
            raise KeyboardInterrupt

    stack = SimpleNamespace(measures=lambda: MEASURES)
    monkeypatch.setattr(growth, "grown", lambda *_: nullcontext(stack))
    monkeypatch.setattr(growth, "_at", at)
    assert growth.measure(checkout, Terminal(), 1) == MEASURES


def test_a_page_of_growth_is_written_only_of_its_parts(checkout):
    performance.write_docs(checkout, {"first": _part(checkout, "first")})
    assert not (checkout.root / growth_page.PAGE).exists()
    assert tuple(name for name in _PARTS if name in growth_page.PARTS) == growth_page.PARTS


def test_the_page_of_growth_is_made_from_what_is_kept():
    kept = performance.load(ROOT / performance.KEPT)
    assert (ROOT / growth_page.PAGE).read_text() == growth_page.page(kept)


@pytest.mark.parametrize("content", ["", "[]", '{"parts": {"api": {}}}'])
def test_a_file_that_is_none_of_its_own_is_refused(tmp_path, content):
    (tmp_path / "kept").write_text(content)
    with pytest.raises(DevError, match="is not what"):
        performance.load(tmp_path / "kept")


def test_every_part_says_what_it_is_about(workspace):
    lines = workspace.dev("bench", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*parts.PARTS]
    assert all(len(line.split()) > 3 for line in lines)


def test_an_unknown_part_offers_the_nearest(workspace):
    done = workspace.dev("bench", "embeded")
    assert done.returncode == 2
    assert "did you mean embedded?" in done.stderr


def test_a_part_that_cannot_be_measured_is_named_and_the_run_fails(workspace):
    workspace.write("docker-compose.yml", "services: {}\n")
    done = workspace.dev("--engine", "embedded", "bench", "api", "snapshot")
    assert done.returncode == 1
    assert "error: api: web is not running" in done.stderr
    assert "error: snapshot: the stack is not running" in done.stderr


def test_earlier_figures_are_shown_without_measuring(workspace, tmp_path):
    part = {
        "about": "Of a test.",
        "at": "2026-01-02T03:04:05+00:00",
        "seconds": 1,
        "rounds": 3,
        "machine": {"engine": "compose", "cores": 2, "memory": 0, "system": "s", "python": "3"},
        "load": {"start": [0, 0, 0], "end": [0, 0, 0]},
        "measures": [one.as_json() for one in MEASURES],
    }
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"parts": {"api": part}}))
    done = workspace.dev("bench", "--from", str(kept))
    assert done.returncode == 0
    assert "api: Of a test." in done.stdout
    assert "at most 1.50 x" in done.stdout
    assert workspace.dev("bench", "tenancy", "--from", str(kept)).returncode == 1


@pytest.mark.parametrize("part", [production, container])
def test_without_wrk_no_production_stack_is_started_in_vain(tmp_path, part):
    with pytest.raises(DevError, match="wrk") as refused:
        part.measure(Checkout(tmp_path, {"PATH": ""}), Terminal(), 1)
    assert "install wrk" in refused.value.problems[0].remedy


def test_a_ratio_is_taken_within_each_round():
    found = beside.ratio("request", 1.25, [2.0, 30.0, 3.0], [1.0, 10.0, 2.0])
    assert found.values == [2.0, 3.0, 1.5]
    assert found.median == 2.0


def test_the_processor_time_of_a_process_is_that_of_all_below_it():
    busy = "import time; [0 for _ in iter(lambda: time.process_time() < 0.3, False)]"
    wait = "print(flush=True); input()"
    child = f"import subprocess, sys; {busy}; {wait}"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        done = subprocess.run(
            [sys.executable, ROOT / "bench/processor.py", str(process.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        process.communicate("\n")
    assert float(done.stdout) >= 0.2  # counted in ticks, of which some are lost


def test_a_copy_shares_packages_that_were_not_installed_before(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(
        environment, "ensure", lambda checkout, terminal: (checkout.root / ".venv").mkdir()
    )
    made = copy.Copy(Checkout(tmp_path / "docs", {}), tmp_path, {})
    made.share(checkout, Terminal())
    assert (made.checkout.root / ".venv").is_dir()


def test_nothing_of_the_benchmarks_is_imported_before_it_is_needed():
    code = "import sys, devtools.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {name for name in done.stdout.split() if name.startswith("bench.")} == {"bench.commands"}
