"""The report as Markdown."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from hlx_model.reporting.pages import report_markdown
from hlx_model.reporting.render import escape_markdown, markdown_code
from tests.support.reports import OURS, changed, parsed, phase_1, phase_3

NAMES = OURS | {"name", "size", "gates_version"}


def tables(text: str) -> list[list[str]]:
    """Return the tables, as lines."""
    return [block.strip().split("\n") for block in text.split("\n\n") if block.startswith("| ")]


def test_it_tells_grade_comparison_intervals_and_worst_answers() -> None:
    text = report_markdown(parsed(phase_3()))
    assert text.startswith("# Phase 3 report: ⚠️ warn, B (85.5 of 100 points)\n")
    for line in (
        "| accuracy | 22 of 30 | loss 1.25 |",
        "▼ worse than the report before, on `fedcba9876543210/phase3_FINAL_epoch5`.",
        "| `all_to_hlx.exact_match` | 50.0% | 2.0% | ▼ worse |",
        "| English → LC-R | 75.0% (30.1–95.4%) | 75.0% (30.1–95.4%) | 100.0% (51.0–100.0%) | 4 |",
        "| `mine.md` | 75.0% (30.1–95.4%) | 4 | 25.0% (4.6–69.9%) | 4 | 93.8% (79.9–98.3%) | 32 |",
        "| LC-R | 75.0% (30.1–95.4%) | – | 75.0% (30.1–95.4%) | 75.0% (30.1–95.4%) |",
        '| `[LC-R] Search for documents → ` | `rm"s"🜁1 &doch1` |',
        "| `Count the items` | LC-B | ` ` | ✗ does not parse |",
    ):
        assert line in text
    assert "data:image/svg+xml;base64," in text


@pytest.mark.parametrize("report", [phase_1, phase_3])
def test_every_row_of_a_table_has_as_many_cells_as_its_header(report: Callable[[], dict[str, Any]]) -> None:
    found = tables(report_markdown(parsed(report())))
    assert len(found) >= 5
    for table in found:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_phases_1_and_2_have_no_table_of_translations() -> None:
    text = report_markdown(parsed(phase_1()))
    assert "## Gates" in text and "There is no earlier report of this phase" in text
    assert not re.search("^## (Translation|Between|Worst|Standard)", text, re.MULTILINE)


@pytest.mark.parametrize("hostile", ["a|b", "`", "``` ```", "<script>", "x\ny\x00\r", "![x](https://example.com)"])
def test_what_a_model_writes_stays_in_its_cell(hostile: str) -> None:
    evil = changed(phase_3(), lambda v: f"{v}{hostile}" if isinstance(v, str) else v, but=NAMES)
    text = report_markdown(parsed(evil))
    before = tables(report_markdown(parsed(phase_3())))
    for tame, found in zip(before, tables(text), strict=True):
        assert len(found) == len(tame)
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in found}
        assert len(widths) == 1
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)<script|(?<!\\)\[x\]|[\x00\r]", outside_code)


def test_a_backslash_of_a_model_does_not_undo_an_escape() -> None:
    assert escape_markdown(r"\[x](https://example.com) \<b>") == r"\\\[x](https\://example.com) \\\<b>"
    assert escape_markdown("**b** _i_ a_b ~~s~~ www.x.y") == r"\*\*b\*\* \_i\_ a_b \~\~s\~\~ www\.x.y"


def test_code_has_more_backticks_around_it_than_in_it() -> None:
    assert markdown_code("a`b``c") == "``` a`b``c ```"
    assert markdown_code("") == "` `" and markdown_code("x|\n") == "`x\\|⏎`"


@pytest.mark.parametrize("report", [phase_1, phase_3])
def test_figures_that_are_not_finite_are_shown_by_name(report: Callable[[], dict[str, Any]]) -> None:
    broken = changed(report(), lambda value: "nan" if isinstance(value, float) else value)
    assert "nan of 100 points" in report_markdown(parsed(broken))
