"""The Dev Container CLI: installed once, with clear errors about its requirements."""

from __future__ import annotations

import io

import pytest

from devtools import devcontainer_cli
from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.terminal import Terminal

# A fake npm: creates the files of the real one, and records that it was called.
NPM = """#!/bin/sh
while [ $# -gt 0 ]; do [ "$1" != --prefix ] || home=$2; shift; done
mkdir -p "$home/node_modules/.bin"
touch "$home/node_modules/.bin/devcontainer"
echo asked >> "$(dirname "$0")/asked"
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "programs").mkdir()
    (tmp_path / "checkout").mkdir()
    return Checkout(tmp_path / "checkout", {"PATH": f"{tmp_path / 'programs'}:/usr/bin:/bin"})


def program(checkout, name: str, script: str) -> None:
    file = checkout.root.parent / "programs" / name
    file.write_text(script)
    file.chmod(0o755)


def ensure(checkout):
    return devcontainer_cli.ensure(checkout, Terminal(io.StringIO(), io.StringIO()))


def test_without_node_it_says_what_to_install(checkout):
    nothing = Checkout(checkout.root, {"PATH": str(checkout.root.parent / "programs")})
    with pytest.raises(DevError) as error:
        ensure(nothing)
    assert "there is no node here" in error.value.problems[0].what
    assert "Node.js 20 or newer" in error.value.problems[0].remedy


def test_a_node_that_is_too_old_is_refused(checkout):
    program(checkout, "node", "#!/bin/sh\necho v18.20.0\n")
    program(checkout, "npm", NPM)
    with pytest.raises(DevError, match=r"needs Node.js 20; this is v18\.20\.0"):
        ensure(checkout)


def test_it_is_fetched_once(checkout):
    program(checkout, "node", "#!/bin/sh\necho v22.1.0\n")
    program(checkout, "npm", NPM)
    first, second = ensure(checkout), ensure(checkout)
    assert first == second
    assert first.exists()
    assert (checkout.root.parent / "programs" / "asked").read_text() == "asked\n"


def test_errors_of_npm_are_shown(checkout):
    program(checkout, "node", "#!/bin/sh\necho v22.1.0\n")
    program(checkout, "npm", "#!/bin/sh\necho 'error: no network' >&2; exit 1\n")
    with pytest.raises(DevError, match="no network"):
        ensure(checkout)
    with pytest.raises(DevError, match="no network"):  # an incomplete installation is repeated
        ensure(checkout)
