"""An answer is scored strictly by its text, and leniently by its value."""

import pytest

from hlx_model.baselines.sample import SampleRow
from hlx_model.baselines.score import score
from hlx_model.language import Format
from tests.support.answers import COUNT, SEARCH


def row(format: str, *right: str) -> SampleRow:
    return SampleRow("held-out", "small.md", "Search for documents", Format(format), right or (SEARCH[format],))


@pytest.mark.parametrize(
    ("format", "written", "strict", "lenient", "parses"),
    [
        ("HLXL", SEARCH["HLXL"], True, True, True),
        ("HLXL", SEARCH["HLXL"].replace(": ", ":"), False, True, True),
        ("HLXL", f" {SEARCH['HLXL']}\n", False, True, True),
        ("LC-T", f"`{SEARCH['LC-T']}`", False, True, True),
        ("LC-R", f"```hlx\n{SEARCH['LC-R']}\n```", False, True, True),
        ("LC-B", f"```\n{SEARCH['LC-B']}```", False, True, True),
        ("LC-B", COUNT["LC-B"], False, False, True),
        ("LC-T", SEARCH["HLXL"], False, False, False),
        ("HLXL", f"Here it is: {SEARCH['HLXL']}", False, False, False),
        ("HLXL", "[" * 5000, False, False, False),
        ("HLXL", "", False, False, False),
        ("HLXL", "\ud800", False, False, False),
    ],
)
def test_strict_is_the_text_and_lenient_the_value(
    format: str, written: str, strict: bool, lenient: bool, parses: bool
) -> None:
    found = score(row(format), written)
    assert (found.exact, found.same_value, found.parses) == (strict, lenient, parses)
    found.written.encode()


@pytest.mark.parametrize("format", list(Format))
def test_any_right_value_is_right(format: Format) -> None:
    several = row(format, SEARCH[format], COUNT[format])
    assert all(score(several, text[format]).exact for text in (SEARCH, COUNT))
    assert not score(row(format), COUNT[format]).same_value
