"""The page of a report: whole, valid and harmless, whatever the model wrote."""

import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from hlx_model.reporting.charts import rate_bar, rates_bar
from hlx_model.reporting.page import report_page
from tests.conftest import Curriculum
from tests.reporting.reports import (
    changed,
    phase_1,
    phase_3,
    rates,
)

KINDS = frozenset({"outcome", "letter", "kind", "phase"})
"""Keys whose values are ours, never a model's."""
HOSTILE = (
    "<script>alert(1)</script>",
    "</style></svg></title><img src=https://example.com/x onerror=alert(1)>",
    "\"'><b onmouseover='alert(1)' style=\"display:none\">",
    "--><!-- ]]> <![CDATA[ &lt;i&gt; &#60;i&#62; {title} %s",
    "\x00\x01\x08\x0b\x1b[31m\x7f\x85\x9b31m\r\n\t",
    "a\u202eb\u200f\ufeff\u2028\ud800",
)


class Read(HTMLParser):
    """What a browser would read, as far as the tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.strange: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.strange.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.strange.append(data)

    def unknown_decl(self, data: str) -> None:
        self.strange.append(data)

    def of(self, name: str) -> list[str]:
        """The values of an attribute."""
        return [value for _, key, value in self.attributes if key == name]


def read(report: dict[str, Any]) -> Read:
    """The page of a report, which must be well formed and must ask for nothing from anywhere."""
    text = report_page(report)
    found = Read(text)
    assert (found.open, found.strange) == ([], [])
    assert [name for name, number in Counter(found.of("id")).items() if number > 1] == []
    assert not {"script", "img", "link", "iframe", "object", "embed", "form", "base", "use"} & set(found.elements)
    assert [key for _, key, _ in found.attributes if key.startswith("on") or key in ("src", "srcset", "action")] == []
    assert {link.removeprefix("#") for link in found.of("href")} <= set(found.of("id"))
    assert not re.search(r"url\(|@import", text)
    text.encode()
    return found


@pytest.mark.parametrize("report", [phase_1, phase_3])
def test_every_element_is_closed_ids_are_unique_and_nothing_is_fetched(report: Callable[[], dict[str, Any]]) -> None:
    assert read(report()).elements[:2] == ["html", "head"]


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_what_judge_writes_becomes_a_page(curriculum: Curriculum, phase: int) -> None:
    judgement = curriculum.phases[phase].judgement
    text = "".join(read(judgement.report).text)
    for gate in judgement.verdict.gates:
        assert gate.name in text and gate.reason in text
    for asset, version in judgement.verdict.corpora.items():
        assert asset in text and version in text


def saying(written: str) -> dict[str, Any]:
    """A report in which every text ends with `written`, the names of operations included."""
    report: dict[str, Any] = changed(
        phase_3(), lambda value: f"{value}{written}" if isinstance(value, str) else value, but=KINDS | {"diff"}
    )
    for worst in report["worst"]:
        worst["diff"] = [[kind, f"{piece}{written}"] for kind, piece in worst["diff"]]
    operations = report["figures"]["by_operation"]
    report["figures"]["by_operation"] = {f"{name}{written}": found for name, found in operations.items()}
    return report


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_model_writes_adds_no_element_and_no_attribute(hostile: str) -> None:
    tame, found = read(saying("x")), read(saying(hostile))
    assert found.elements == tame.elements
    assert [(tag, name) for tag, name, _ in found.attributes] == [(tag, name) for tag, name, _ in tame.attributes]
    assert sum(hostile in text for text in found.text) > 100 or not hostile.isprintable()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_every_character_that_a_model_writes_shows(hostile: str) -> None:
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\ufeff\ud800-\udfff]", report_page(saying(hostile))
    )


def test_control_characters_show_as_symbols() -> None:
    assert "a␀␛[31m␡⟨U+009B⟩⇥⏎z⟨U+202E⟩" in report_page(saying("a\x00\x1b[31m\x7f\x9b\t\nz\u202e"))


@pytest.mark.parametrize("name", ["nan", "inf", "-inf", "NaN", "Infinity"])
@pytest.mark.parametrize("report", [phase_1, phase_3])
def test_figures_that_are_not_finite_are_shown_by_name(report: Callable[[], dict[str, Any]], name: str) -> None:
    broken = changed(report(), lambda value: name if isinstance(value, float) else value, but=KINDS)
    found = read(broken)
    assert name in found.text
    assert "no loss was recorded" in found.text


def test_a_page_opens_with_verdict_grade_comparison_and_what_failed() -> None:
    report = phase_3() | {"outcome": "fail", "stopped": "gate perplexity failed at epoch 5"}
    head = report_page(report).split("</header>")[0]
    shown = "".join(Read(head).text)
    for said in ("Phase 3: Translation", "✗ fail", "3 gates: 1 pass, 1 warn, 1 fail", "▼ worse than the report before",
                 "Training was stopped: gate perplexity failed at epoch 5", "exact_match_to_hlx: the reason of",
                 "85.5 of 100 points", "27 of 30", "it never rose", "75.0%"):  # fmt: skip
        assert said in shown


def test_every_outcome_bears_its_sign_and_not_its_colour_alone() -> None:
    shown = re.findall(r'<span class="badge (\w+)">(.) (\w+)</span>', report_page(phase_3()))
    assert all(kind == word for kind, _, word in shown)
    assert {word: sign for word, sign, _ in shown} == {
        "pass": "✓", "warn": "!", "fail": "✗", "better": "▲", "same": "=", "worse": "▼",
    }  # fmt: skip


def test_a_phase_that_translates_nothing_has_no_section_of_it() -> None:
    first, third = report_page(phase_1()), report_page(phase_3())
    for anchor in ("translation", "between-formats", "by-operation", "by-length", "the-worst-answers"):
        assert f'id="{anchor}"' not in first and f'id="{anchor}"' in third
    assert "There is no earlier report of this phase to compare with." in first


def test_the_twenty_most_frequent_operations_are_shown_and_the_rest_folded() -> None:
    before, folded = report_page(phase_3()).split("<details>")
    folded = folded.split("</details>")[0]
    assert "5 more operations" in folded
    assert [f">operation{i}<" in before for i in range(25)] == [i < 20 for i in range(25)]
    assert [f">operation{i}<" in folded for i in range(25)] == [i >= 20 for i in range(25)]


def test_a_difference_is_marked_up_as_what_is_missing_and_what_is_wrong() -> None:
    report = phase_3()
    report["worst"][0]["diff"] = [["equal", "ab "], ["delete", "<c>"], ["insert", "d\n"]]
    assert "<code><span>ab </span><del>&lt;c&gt;</del><ins>d⏎</ins></code>" in report_page(report)


def test_a_bar_is_as_long_as_its_rate_with_whiskers_at_its_interval() -> None:
    bar = rate_bar("exact", 0.25, [0.1, 0.5], behind=0.3, threshold=0.05)
    assert 'class="rate" x="0" y="4" width="25.00%"' in bar and 'class="behind" x="0" y="4" width="30.00%"' in bar
    assert 'class="whisker" x1="10.00%" x2="50.00%"' in bar and 'class="threshold" x1="5.00%" x2="5.00%"' in bar
    assert "<title>exact: 25.0%, 95% interval 10.0–50.0%</title>" in bar


def test_a_bar_of_no_samples_claims_nothing() -> None:
    bar = rates_bar("LC-R", rates(0, 0))
    assert "whisker" not in bar and 'class="rate" x="0" y="4" width="0.00%"' in bar


def test_the_same_report_gives_the_same_page() -> None:
    assert report_page(phase_3()) == report_page(phase_3())
