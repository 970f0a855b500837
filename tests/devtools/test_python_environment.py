"""The checkout's `.venv`: made with a Python that will do, from the locks alone."""

from __future__ import annotations

import re

import pytest
from front_door import ROOT

from devtools import environment
from devtools.checkout import Checkout
from devtools.environment import _uv_pin
from devtools.errors import DevError


def test_uv_is_installed_in_the_locked_version_with_its_hashes():
    version, entry = _uv_pin(Checkout(ROOT, {}))
    first, *hashes = entry.splitlines()
    assert first == f"uv=={version} \\"
    assert hashes
    assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes)
    assert not hashes[-1].endswith("\\")


@pytest.mark.parametrize(("lock", "what"), [(None, "cannot be read"), ("", "does not lock uv")])
def test_a_lock_that_will_not_do_is_named(tmp_path, lock, what):
    if lock is not None:
        (tmp_path / "requirements").mkdir()
        (tmp_path / environment.REQUIREMENTS).write_text(lock)
    with pytest.raises(DevError, match=what):
        _uv_pin(Checkout(tmp_path, {}))


def test_a_machine_without_a_python_that_will_do_is_told_which(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "MINIMUM", (9, 1))
    with pytest.raises(DevError, match=r"needs Python 9\.1 or newer; found only: /"):
        environment.find_python(Checkout(tmp_path, {"PATH": ""}))
