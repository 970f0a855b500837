"""What production ships is under licences that the product allows."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from front_door import ROOT
from misfits import misfit

from devtools.checkout import Checkout
from devtools.commands import quality, shapes
from devtools.commands.registry import Run
from devtools.errors import Problem
from devtools.production import audit, licences
from devtools.terminal import Terminal

ALLOWED = """
# Comment.
MIT
BSD-3-Clause  # with a reason
License :: OSI Approved :: BSD License
silent: MIT
forbidden: GPL-3.0-only
"""


def test_the_packages_of_production_have_allowed_licences():
    assert licences.problems(Checkout(ROOT), Path(sys.executable)) == []


@pytest.mark.parametrize(
    "stated",
    [
        ["MIT"],
        ["BSD-3-Clause", "License :: OSI Approved :: BSD License"],
        ["GPL-3.0-only OR MIT"],
        ["MIT AND BSD-3-Clause"],
    ],
)
def test_an_allowed_licence(stated):
    assert not list(licences._compare({"package": stated}, ALLOWED))


@pytest.mark.parametrize(
    "stated", [["GPL-3.0-only"], ["MIT", "GPL-3.0-only"], ["MIT AND GPL-3.0-only"], ["Comment."]]
)
def test_a_licence_that_is_not_allowed_is_named_with_its_package(stated):
    [problem] = licences._compare({"package": stated}, ALLOWED)
    assert f"package has the licence {stated[-1]!r}" in problem.what
    assert "add the licence there" in problem.remedy


def test_a_package_that_states_none_needs_a_line():
    assert not list(licences._compare({"silent": []}, ALLOWED))
    forbidden, unknown = licences._compare({"unknown": [], "forbidden": []}, ALLOWED)
    assert unknown.what == "unknown states no licence"
    assert unknown.remedy.endswith("unknown: LICENCE")
    assert "GPL-3.0-only" in forbidden.what


def test_the_answer_of_an_audit_has_the_refused_licences(monkeypatch, capsys):
    refused = Problem("a package has the licence 'GPL-3.0-only'", "use another package")
    monkeypatch.setattr(licences, "problems", lambda *_: [refused])
    # The service, which may be unreachable.
    monkeypatch.setattr(audit, "audit", lambda *_: audit.Audit(1, [], []))
    run = Run(Checkout(ROOT), Terminal(sys.stderr), "", Namespace(json=True, strict=False), [])
    assert quality.audit(run) == 1
    answer = json.loads(capsys.readouterr().out)
    assert misfit(answer, shapes.AUDIT) == ""
    assert answer["refused_licences"] == [{"what": refused.what, "remedy": refused.remedy}]
