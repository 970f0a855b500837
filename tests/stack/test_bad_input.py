"""Invalid input is reported in one message that names the error and the remedy."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def refused(running):
    """Return a function that runs ./dev, expects it to fail, and returns its output."""

    def dev(*arguments, **variables):
        ended = running.dev(*arguments, check=False, **variables)
        assert ended.returncode != 0, ended.stdout
        assert "Traceback" not in ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    return dev


@pytest.fixture
def dotenv(running):
    """Write a .env for one test."""
    file = running.checkout / ".env"
    yield file.write_text
    file.unlink(missing_ok=True)


def test_a_port_in_use_is_named_with_the_service_and_the_variable(running, refused):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused("up", WEB_PORT=str(port))
    assert str(port) in said
    assert "web" in said
    assert "WEB_PORT" in said


def test_a_bad_value_stops_the_start_and_is_explained(running, refused, dotenv):
    dotenv("LOG_LEVEL=LOUD\nWEB_THREADS=many\n")
    said = refused("up")
    assert "LOG_LEVEL is not one of DEBUG, INFO, WARNING, ERROR" in said
    assert "WEB_THREADS is not a whole number" in said


def test_a_corrupted_env_file_is_refused_with_its_line(running, refused, dotenv):
    dotenv("LOG_LEVEL=INFO\nthis is no assignment\n")
    said = refused("up")
    assert ".env" in said
    assert "2" in said


def test_a_script_with_windows_line_endings_is_named(running, refused):
    script = running.checkout / "backend" / "bin" / "web"
    original = script.read_bytes()
    script.write_bytes(original.replace(b"\n", b"\r\n"))
    try:
        said = refused("up")
    finally:
        script.write_bytes(original)
    assert "backend/bin/web" in said


def test_a_database_that_cannot_be_reached_does_not_lose_the_message(running):
    elsewhere = "DATABASE_URL=postgres://app_owner:app_owner@nowhere:5432/homeport"
    command = ("run", "--rm", "-T", "--no-deps", "-e", elsewhere, "migrate")
    ended = running.compose(*command, check=False)
    assert ended.returncode == 1
    assert "the database at nowhere:5432 refused" in ended.stderr
    assert "Traceback" not in ended.stderr
