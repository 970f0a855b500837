"""Copied and moved checkouts: which data, ports and processes belong to them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from embedded_checkout import EmbeddedCheckout

from devtools import chosen_ports
from devtools.checkout import Checkout
from devtools.embedded.places import Places


def _copy(root: Path, to: Path) -> Checkout:
    shutil.copytree(root, to, symlinks=True)
    return Checkout(to, {})


@pytest.fixture
def first(tmp_path):
    """A checkout with its data outside, as if root's PostgreSQL could not read the checkout."""
    made = Checkout(EmbeddedCheckout.make(tmp_path / "first", venv=None).root, {})
    made.remember(chosen_ports.EMBEDDED, {"WEB_PORT": "8123"})
    places = Places(made)
    places.make()
    places.make_outside()
    (places.outside / "postgres").mkdir()
    (places.outside / "postgres" / "PG_VERSION").write_text("18\n")
    (places.data / "postgres").symlink_to(places.outside / "postgres")
    yield made
    shutil.rmtree(places.outside, ignore_errors=True)


@pytest.mark.parametrize("command", [("down", "--volumes", "--yes"), ("clean", "--yes")])
def test_a_copy_deletes_nothing_of_the_first(first, tmp_path, command):
    copy = EmbeddedCheckout(_copy(first.root, tmp_path / "second").root, {"PATH": "/usr/bin:/bin"})
    copy.variables["DEV_ENGINE"] = "embedded"
    copy.must(*command)
    assert not (copy.places.data / "postgres").is_symlink()
    assert (Places(first).outside / "postgres" / "PG_VERSION").exists()


def test_a_copy_has_separate_ports_and_paths(first, tmp_path):
    copy = _copy(first.root, tmp_path / "second")
    assert not Places(copy).leads_outside(Places(copy).data / "postgres")
    assert chosen_ports.remembered(copy, chosen_ports.EMBEDDED) == {}
    copy.remember(chosen_ports.EMBEDDED, {"WEB_PORT": "8124"})
    again = Checkout(copy.root, {})
    assert chosen_ports.remembered(again, chosen_ports.EMBEDDED) == {"WEB_PORT": "8124"}
    assert again.identity == copy.identity
    assert again.identity.id != first.identity.id
    assert again.identity.copied_from == first.root
    assert chosen_ports.remembered(Checkout(first.root, {}), chosen_ports.EMBEDDED) == {
        "WEB_PORT": "8123"
    }


def test_a_moved_checkout_keeps_ports_and_data(first, tmp_path):
    moved = Checkout(first.root.rename(tmp_path / "renamed"), {})
    assert moved.identity.moved_from == first.root
    assert Places(moved).leads_outside(Places(moved).data / "postgres")
    assert chosen_ports.remembered(moved, chosen_ports.EMBEDDED) == {"WEB_PORT": "8123"}
    moved.settle()
    assert Checkout(moved.root, {}).identity.moved_from is None


def test_a_new_clone_in_the_place_of_a_moved_one_is_not_the_moved_one(first, tmp_path):
    moved = Checkout(first.root.rename(tmp_path / "renamed"), {})
    first.root.mkdir()
    clone = Checkout(first.root, {})
    clone.remember(chosen_ports.EMBEDDED, {})
    assert clone.identity.id != moved.identity.id
    found = Checkout(moved.root, {}).identity
    assert (found.id, found.moved_from, found.copied_from) == (first.identity.id, None, None)


def test_a_folder_under_two_names_is_one_checkout(first, tmp_path):
    other = tmp_path / "other name"
    other.symlink_to(first.root)
    found = Checkout(other, {}).identity
    assert (found.id, found.moved_from, found.copied_from) == (first.identity.id, None, None)


def test_data_outside_is_found_if_the_state_was_deleted(first, tmp_path):
    shutil.rmtree(first.root / ".dev")
    again = Checkout(first.root, {})
    assert again.identity.id == first.identity.id
    assert _copy(first.root, tmp_path / "second").identity.id != first.identity.id
    listed = EmbeddedCheckout(first.root, {"PATH": "/usr/bin:/bin", "DEV_ENGINE": "embedded"})
    assert str(Places(first).outside) in listed.dev("clean").stdout


def test_doctor_lists_data_outside_of_a_deleted_checkout(first, tmp_path):
    copy = _copy(first.root, tmp_path / "second")
    second = EmbeddedCheckout(copy.root, {"PATH": "/usr/bin:/bin"})
    second.variables["DEV_ENGINE"] = "embedded"
    shutil.rmtree(first.root)
    assert f"rm -r {Places(first).outside}" in second.dev("doctor").stdout
