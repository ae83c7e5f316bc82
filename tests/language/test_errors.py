"""Syntax errors are one line: the place, what was found and what was expected."""

import copy
import subprocess
import sys

import pytest

from hlx_model.language import Format, HLXSyntaxError, parse


def error(text: str, format: Format) -> HLXSyntaxError:
    with pytest.raises(HLXSyntaxError) as caught:
        parse(text, format)
    return caught.value


def test_an_error_is_one_line_with_place_found_and_expected() -> None:
    assert str(error("{C:1000,0:1}", Format.LC_T)) == "LC-T line 1, column 10: found ':', expected '='"


def test_lines_and_columns_count_from_one() -> None:
    e = error("{a: 1,\n\n  b 2}", Format.HLXL)
    assert (e.position, e.line, e.column) == (12, 3, 5)
    assert (e.text, e.format) == ("{a: 1,\n\n  b 2}", Format.HLXL)
    e = error("[1\n", Format.HLXL)
    assert (e.position, e.line, e.column) == (3, 2, 1)


def test_an_error_stays_one_short_line_whatever_was_found() -> None:
    for text in ("\x0b\n", "\u2028", '"\n"', '"\\\n\n', "0" * 10_000, "x" * 10_000):
        for format in Format:
            assert len(str(error(text, format)).splitlines()) == 1
            assert len(str(error(text, format))) < 200


def test_an_error_can_be_copied() -> None:
    e = error("[1", Format.HLXL)
    twin = copy.copy(e)
    assert (str(twin), twin.position, twin.format) == (str(e), 2, Format.HLXL)


def test_the_language_needs_only_the_standard_library() -> None:
    # -S leaves site-packages out.
    subprocess.run([sys.executable, "-S", "-W", "error", "-c", "import hlx_model.language"], check=True)
