"""`.env` is read as Compose reads it; every fault is named by its line and its mend."""

from __future__ import annotations

import pytest

from devtools import dotenv


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("# all of this\n\nA=1  # why", {"A": "1"}),
        ("A=a#b", {"A": "a#b"}),
        ("A = spaced ", {"A": "spaced"}),
        ("A: yaml", {"A": "yaml"}),
        ("export A=1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A", {}),
        ("A='one # two'", {"A": "one # two"}),
        ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
        ('A="say \\"hi\\"" # quoted', {"A": 'say \\"hi\\"'}),
        ("A=${B:-c}", {"A": "${B:-c}"}),
        ("A='${B'", {"A": "${B"}),
    ],
)
def test_what_it_defines(text, values):
    found = dotenv.parse(text.encode())
    assert found.problems == []
    assert found.values == values


@pytest.mark.parametrize(
    ("content", "line", "what", "remedy"),
    [
        (b"A=1\nnonsense here\n", 2, "has no `=`", "NAME=value"),
        (b"=1\n", 1, "no name", "NAME=value"),
        (b"A=1\n\nWEB PORT=8000\n", 3, "'WEB PORT' is not a variable's name", "WEB_PORT"),
        (b'A="open\nB=1\n', 1, 'the quote " is never closed', 'with "'),
        (b"A='open\n", 1, "the quote ' is never closed", "with '"),
        (b"A='one' two\n", 1, "text after the closing quote: 'two'", "one pair of quotes"),
        (b"A=${B\n", 1, "`${` is never closed", "single quotes"),
        (b"A=1\nB=\x00\n", 2, "not text in UTF-8", "cp .env.example"),
        (b"A=\xff\xfe\n", 1, "not text in UTF-8", "cp .env.example"),
        ("A=1\n".encode("utf-16"), 1, "not text in UTF-8", "cp .env.example"),
    ],
)
def test_what_is_wrong_with_it(content, line, what, remedy):
    [problem] = dotenv.parse(content).problems
    assert problem.what.startswith(f".env, line {line}: ")
    assert what in problem.what
    assert remedy in problem.remedy


def test_all_faults_are_found_at_once():
    found = dotenv.parse(b"a b=1\nGOOD=2\nc d=3\n")
    assert len(found.problems) == 2
    assert found.values == {"GOOD": "2"}


def test_a_missing_file_is_fine(tmp_path):
    assert dotenv.load(tmp_path / ".env") == dotenv.Dotenv()


def test_a_directory_in_its_place_is_named(tmp_path):
    (tmp_path / ".env").mkdir()
    [problem] = dotenv.load(tmp_path / ".env").problems
    assert "cannot be read" in problem.what
