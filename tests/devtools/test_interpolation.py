"""Variables in Compose files are interpolated like Compose does it."""

from __future__ import annotations

import pytest

from devtools.interpolation import Reference, fill_in, references


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("$A", "1"),
        ("${A:-2}", "1"),
        ("${B:-2}", "2"),
        ("${B-2}", "2"),
        ("${B}", ""),
        ("$$A", "$A"),
        ("a ${A} b ${B:-c d}", "a 1 b c d"),
        ("${B:?is needed}", ""),
        ("${B:-${A}0}", "10"),
        ("${A:+yes}${B:+no}", "yes"),
        ("${E:-2}${E-3}", "2"),
        ("${E:+yes}${E+no}", "no"),
        ("5 $ or ${", "5 $ or ${"),
    ],
)
def test_variables_are_interpolated(text, expected):
    assert fill_in(text, {"A": "1", "E": ""}.get) == expected


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
