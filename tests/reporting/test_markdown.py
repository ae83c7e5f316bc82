"""The report as Markdown."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from hlx_model.reporting.markdown import report_markdown
from tests.reporting.reports import changed, phase_1, phase_3

OURS = frozenset(
    {"outcome", "letter", "phase", "name", "size", "checkpoint", "with", "weights_sha256", "gates_version", "target"}
)
"""Keys whose values are ours, never a model's."""


def tables(text: str) -> list[list[str]]:
    """The tables, as lines."""
    return [block.strip().split("\n") for block in text.split("\n\n") if block.startswith("| ")]


def test_grade_comparison_intervals_and_the_worst_are_told() -> None:
    text = report_markdown(phase_3(), "<svg/>")
    assert text.startswith("# Phase 3 report: ⚠️ warn, B (85.5 of 100 points)\n")
    for said in (
        "| accuracy | 22 of 30 | loss 1.25 |",
        "▼ worse than the report before, on `fedcba9876543210/phase3_FINAL_epoch5`.",
        "| `all_to_hlx.exact_match` | 50.0% | 2.0% | ▼ worse |",
        "| English → LC-R | 75.0% (30.1–95.4%) | 75.0% (30.1–95.4%) | 100.0% (51.0–100.0%) | 4 |",
        "| LC-R | 75.0% (30.1–95.4%) | – | 75.0% (30.1–95.4%) | 75.0% (30.1–95.4%) |",
        '| `[LC-R] Search for documents → ` | `rm"s"🜁1 &doch1` |',
    ):
        assert said in text


def test_a_phase_that_translates_nothing_has_no_table_of_it() -> None:
    text = report_markdown(phase_1(), "<svg/>")
    assert "## Gates" in text and "There is no earlier report of this phase" in text
    assert not re.search("^## (Translation|Between|The worst|Standard)", text, re.MULTILINE)


@pytest.mark.parametrize("hostile", ["a|b", "`", "``` ```", "<script>", "x\ny\x00\r", "![x](https://example.com)"])
def test_what_a_model_writes_stays_in_its_cell(hostile: str) -> None:
    evil = changed(phase_3(), lambda v: f"{v}{hostile}" if isinstance(v, str) else v, but=OURS)
    text = report_markdown(evil, "<svg/>")
    before = tables(report_markdown(phase_3(), "<svg/>"))
    for tame, found in zip(before, tables(text), strict=True):
        assert len(found) == len(tame)
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in found}
        assert len(widths) == 1
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)<script|(?<!\\)\[x\]|[\x00\r]", outside_code)


@pytest.mark.parametrize("report", [phase_1, phase_3])
def test_figures_that_are_not_finite_are_told_by_name(report: Callable[[], dict[str, Any]]) -> None:
    broken = changed(report(), lambda value: "nan" if isinstance(value, float) else value)
    assert "nan of 100 points" in report_markdown(broken, "<svg/>")
