"""`.env` is read like Compose reads it; every error has its line and a remedy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from devtools import dotenv

# Text of a `.env`, and the variables that it defines. `docker compose config` agrees, see below.
DEFINED = [
    ("A=1\n", {"A": "1"}),
    ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ("\ufeffA=1\n", {"A": "1"}),
    ("# all of this\n\nA=1  # why\n", {"A": "1"}),
    ("A=a#b\nB=#c\nC=d\t#e\n", {"A": "a#b", "B": "#c", "C": "d\t#e"}),
    ("A = spaced \n", {"A": "spaced"}),
    ("A: yaml\n", {"A": "yaml"}),
    ("export A=1\n", {"A": "1"}),
    ("A=\n", {"A": ""}),
    ("A\n", {}),
    ("KNOWN\n", {"KNOWN": "outside"}),
    ("A.B-C=1\n", {"A.B-C": "1"}),
    ("проект=1\n", {"проект": "1"}),
    ("A='one # two'\n", {"A": "one # two"}),
    ('A="one\ntwo"\nB=3\n', {"A": "one\ntwo", "B": "3"}),
    ('A="one\r\ntwo"\n', {"A": "one\r\ntwo"}),
    ('A="say \\"hi\\"" # quoted\n', {"A": 'say "hi"'}),
    ("A='it\\'s'\n", {"A": "it's"}),
    ("A='$B ${C}'\n", {"A": "$B ${C}"}),
    ("A='a\\nb'\nB=a\\nb\n", {"A": "a\\nb", "B": "a\\nb"}),
    ('A="a\\nb\\tc\\qd\\\\ne"\n', {"A": "a\nb\tc\\qd\\ne"}),
    ('A="\\0123\\012\\0777\\0"\n', {"A": "S\\12\\777\\"}),
    ('A="ends with \\\\"\n', {"A": "ends with \\"}),
    ("A=a$$b\nB=$\nC=$1(d)\n", {"A": "a$b", "B": "$", "C": "$1(d)"}),
    ('A="a\\$b"\n', {"A": "a$b"}),
    ("A=Zm9v/YmFy+eA==\n", {"A": "Zm9v/YmFy+eA=="}),
    ("A='p@s/s#w:rd%41?&x'\n", {"A": "p@s/s#w:rd%41?&x"}),
    ("A=${B:-c}\n", {"A": "c"}),
    ("A=${B:-c}}d\n", {"A": "c}d"}),
    ("A=${B:-${C-d e}} # f\n", {"A": "d e"}),
    ('A=1\nB=${A}y\nC="$A$B"\n', {"A": "1", "B": "1y", "C": "11y"}),
    ("A=1\nB=${A:+x}${C+y}\n", {"A": "1", "B": "x"}),
    ("A=\nB=${A:-x}${A-y}\n", {"A": "", "B": "x"}),
    ("A=\nB=${A:+x}${A+y}\n", {"A": "", "B": "y"}),
    ("A=1\nA=${A}2\n", {"A": "12"}),
    ("KNOWN=1\nA=$KNOWN\n", {"KNOWN": "1", "A": "outside"}),
    ("A='$KNOWN'\nB=$A\n", {"A": "$KNOWN", "B": "$KNOWN"}),
]
# Compose warns about these: an interpolated variable is not set.
WARNED = [
    ("A=django-insecure-a$b(c)&d\n", {"A": "django-insecure-a(c)&d"}, "b"),
    ('A="a$b(c)&d"\n', {"A": "a(c)&d"}, "b"),
    ("A=a\\$c\n", {"A": "a\\"}, "c"),
    ("A=${LATER}\nLATER=1\n", {"A": "", "LATER": "1"}, "LATER"),
]
REFUSED = [
    (b"A=1\nnonsense here\n", 2, "has no `=`", "NAME=value"),
    (b"=1\n", 1, "no name", "NAME=value"),
    (b"A=1\n\nWEB PORT=8000\n", 3, "'WEB PORT' is not a variable's name", "WEB_PORT"),
    (b'A="open\nB=1\n', 1, 'the quote " is never closed', 'with "'),
    (b"A='open\n", 1, "the quote ' is never closed", "with '"),
    (b'A="open\\"\n', 1, 'the quote " is never closed', 'with "'),
    (b"A=${B\n", 1, "`${B` is not a variable", "single quotes"),
    (b"A=1\nC=x${A!y}\n", 2, "`${A!y}` is not a variable", "single quotes"),
    (b"A=${B:?give one}\n", 1, "`$B` names nothing: give one", "set B"),
    (b"A=1\nB", 2, "a name without a value", "echo >> .env"),
]
# Compose accepts these, with results that users do not expect.
REFUSED_HERE_ALONE = [
    (b"A='one' two\n", 1, "text after the closing quote: 'two'", "one pair of quotes"),
    (b"A=1\nB=\x00\n", 2, "not UTF-8 text", "cp .env.example"),
    (b"A=\xff\xfe\n", 1, "not UTF-8 text", "cp .env.example"),
    ("A=1\n".encode("utf-16"), 1, "not UTF-8 text", "cp .env.example"),
]
OUTSIDE = {"KNOWN": "outside"}


def read(text: str) -> dotenv.Dotenv:
    return dotenv.parse(text.encode(), OUTSIDE.get)


@pytest.mark.parametrize(("text", "values"), DEFINED)
def test_what_it_defines(text, values):
    found = read(text)
    assert found.problems == found.warnings == []
    assert found.values == values


@pytest.mark.parametrize(("text", "values", "name"), WARNED)
def test_a_dollar_that_names_no_variable_is_reported(text, values, name):
    found = read(text)
    assert found.problems == []
    assert found.values == values
    [warning] = found.warnings
    assert warning.what == f".env, line 1: `${name}` names nothing, and A lacks it"
    assert "single quotes" in warning.remedy


@pytest.mark.parametrize(("name", "meant"), [("LOG_LEVL", "LOG_LEVEL"), ("WEBPORT", "WEB_PORT")])
def test_a_name_that_is_nearly_a_declared_one_is_reported(name, meant):
    example = "# How much is logged\n# LOG_LEVEL=INFO\n# WEB_PORT=8000\nSECRET_KEY=\n"
    [warning] = dotenv.misspelt([name, meant, "SECRET_KEY", "ANOTHER_PROGRAMS"], example)
    assert warning.what == f".env sets {name}, which is undeclared: did you mean {meant}?"


@pytest.mark.parametrize(("content", "line", "what", "remedy"), REFUSED + REFUSED_HERE_ALONE)
def test_what_is_wrong_with_it(content, line, what, remedy):
    [problem] = dotenv.parse(content, OUTSIDE.get).problems
    assert problem.what.startswith(f".env, line {line}: ")
    assert what in problem.what
    assert remedy in problem.remedy


def test_a_service_sees_what_is_defined_later():
    found = read("A=${LATER}\nLATER=1\n")
    assert found.as_env_file(found.values.get) == {"A": "1", "LATER": "1"}


@pytest.fixture
def compose(tmp_path):
    """Runs `docker compose config` for services with one `env_file` each."""
    if shutil.which("docker") is None:
        pytest.skip("no docker command to read .env with")

    def config(
        texts: list[bytes], *options: str
    ) -> tuple[subprocess.CompletedProcess[str], list[dict]]:
        services = {}
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.env").write_bytes(text)
            services[f"s{number}"] = {"image": "none", "env_file": [f"{number}.env"]}
        (tmp_path / "compose.json").write_text(json.dumps({"services": services}))
        done = subprocess.run(
            [
                *("docker", "compose", *options, "-f", "compose.json", "-p", "none"),
                *("config", "--format", "json"),
            ],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **OUTSIDE},
            capture_output=True,
            text=True,
        )
        read = json.loads(done.stdout)["services"] if done.returncode == 0 else {}
        # It prints a dollar as two.
        return done, [
            {key: value.replace("$$", "$") for key, value in (one.get("environment") or {}).items()}
            for one in map(read.get, services)
            if one is not None
        ]

    return config


def test_compose_reads_the_same(compose):
    cases = [*DEFINED, *(case[:2] for case in WARNED)]
    done, found = compose([text.encode() for text, _values in cases])
    assert found == [values for _text, values in cases]
    assert set(re.findall(r'The \\"(\w+)\\" variable is not set', done.stderr)) == {
        name for *_case, name in WARNED
    }


@pytest.mark.parametrize("content", [case[0] for case in REFUSED])
def test_compose_refuses_the_same(compose, content):
    done, _found = compose([content], "--env-file", "0.env")
    assert done.returncode != 0


def test_all_faults_are_found_at_once():
    found = read("a b=1\nGOOD=2\nc d=3\n")
    assert len(found.problems) == 2
    assert found.values == {"GOOD": "2"}


def test_a_missing_file_is_valid(tmp_path):
    assert dotenv.load(tmp_path / ".env", {}.get) == dotenv.Dotenv()


def test_a_directory_in_its_place_is_named(tmp_path):
    (tmp_path / ".env").mkdir()
    [problem] = dotenv.load(tmp_path / ".env", {}.get).problems
    assert "cannot be read" in problem.what
