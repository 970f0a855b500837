"""Colour and redrawing only on a terminal; plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from devtools.errors import Problem
from devtools.terminal import Board, Mark, OnlyLines, Terminal, seconds, table


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _board(out: io.StringIO) -> None:
    board = Board(Terminal(out, out, {}), ["db", "web"])
    for mark, state in [(Mark.WAITING, "waiting"), (Mark.BUSY, "starting"), (Mark.GOOD, "healthy")]:
        board.show("db", mark, state)
        board.show("db", mark, state)
        board.draw()


def test_off_a_terminal_each_change_is_one_line():
    out = io.StringIO()
    _board(out)
    lines = out.getvalue().splitlines()
    assert [line.split()[1:3] for line in lines] == [["db", "starting"], ["db", "healthy"]]
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_the_lines_are_written_over():
    out = Screen()
    _board(out)
    assert "\x1b[2A" in out.getvalue()
    assert out.getvalue().count("web") == 3


@pytest.mark.parametrize(
    ("screen", "variables", "coloured"),
    [
        (Screen, {}, True),
        (Screen, {"NO_COLOR": "1"}, False),
        (Screen, {"NO_COLOR": ""}, True),
        (Screen, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_where_colour_is_shown(screen, variables, coloured):
    out = screen()
    Terminal(out, out, variables).fail(Problem("it broke", "fix it"))
    assert ("\x1b[31m" in out.getvalue()) is coloured


def test_marks_are_spelled_where_they_cannot_be_shown():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Terminal(out, out, {}).mark(Mark.GOOD, "caf\u00e9")
    assert out.buffer.getvalue() == b"ok caf?\n"


def test_a_step_that_fails_is_marked_so():
    out = Screen()
    terminal = Terminal(out, out, {"NO_COLOR": "1"})
    with pytest.raises(ValueError, match="x"), terminal.step("building"):
        raise ValueError("x")
    assert out.getvalue().splitlines()[-1].endswith("✖ building  0.0 s")


def test_durations_and_tables():
    assert [seconds(1.94), seconds(125)] == ["1.9 s", "2 min 5 s"]
    assert table([["a", "b"], ["long", ""]]) == ["a     b", "long"]


def test_of_a_log_only_the_lines_of_a_trace_are_printed():
    out = io.StringIO()
    only = OnlyLines(Terminal(out, out, {}), "885f725c15d63443b81640a87e3bac3d")
    only.say('{"event": "a", "request_id": "885f725c-15d6-3443-b816-40a87e3bac3d"}')
    only.say('{"event": "b", "trace_id": "885f725c15d63443b81640a87e3bac3d"}')
    only.say('{"event": "c", "request_id": "11111111-15d6-3443-b816-40a87e3bac3d"}')
    assert [line[11] for line in out.getvalue().splitlines()] == ["a", "b"]
