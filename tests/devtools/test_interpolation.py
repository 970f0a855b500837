"""Variables are interpolated as in Compose; test_dotenv.py compares more with Compose itself."""

from __future__ import annotations

import pytest

from devtools.interpolation import Reference, fill_in, references


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A:-2}", "1"),
        ("${B:?is needed}", ""),
        ("5 $ or ${", "5 $ or ${"),
    ],
)
def test_variables_are_interpolated(text, expected):
    assert fill_in(text, {"A": "1"}.get) == expected


def test_every_variable_is_found_with_its_default():
    text = "${A:-1} $B ${C:?is needed} $$D ${E-${F:-2}}"
    assert references(text) == [
        Reference("A", ":-", "1"),
        Reference("B"),
        Reference("C", ":?", "is needed"),
        Reference("E", "-", "${F:-2}"),
        Reference("F", ":-", "2"),
    ]
    assert references(text)[2].default is None
