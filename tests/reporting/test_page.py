"""The page of a report: whole, valid and harmless, whatever the model wrote."""

import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hlx_model.reporting import pages
from hlx_model.reporting.baselines import Baselines
from hlx_model.reporting.models import Report
from hlx_model.supervision.opinions import record_opinion
from tests.support.curriculum import Curriculum
from tests.support.reports import PART_NAMES, changed, gate, parsed, phase_1, phase_3, rates
from tests.support.supervision import an_opinion

HOSTILE = (
    "<script>alert(1)</script>",
    "</style></svg></title><img src=https://example.com/x onerror=alert(1)>",
    "\"'><b onmouseover='alert(1)' style=\"display:none\">",
    "--><!-- ]]> <![CDATA[ &lt;i&gt; &#60;i&#62; {title} %s",
    "\x00\x01\x08\x0b\x1b[31m\x7f\x85\x9b31m\r\n\t",
    "a\u202eb\u200f\ufeff\u2028\ud800",
)


class Read(HTMLParser):
    """What a browser would read, as far as the tests need it."""

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
        """Return the values of an attribute."""
        return [value for _, key, value in self.attributes if key == name]


def report_page(report: dict[str, Any]) -> str:
    return pages.report_page(parsed(report))


def read(report: dict[str, Any]) -> Read:
    """Return the page of a report, which must be well formed and must fetch nothing."""
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
def test_a_page_is_well_formed_and_fetches_nothing(report: Callable[[], dict[str, Any]]) -> None:
    assert read(report()).elements[:2] == ["html", "head"]


def with_baselines(name: str) -> str:
    """Return a page with a comparison whose model and note are `name`."""
    measured = {"held-out": rates(3, 8, 4), "evaluation": rates(0, 0)}
    model = {
        "name": name, "all_to_hlx": measured, "to_hlx": {"held-out": {"LC-R": rates(3, 8)}, "evaluation": {}},
        "outcomes": {"answered": 8}, "median_seconds": 1.25, "cost_per_1000_nanodollars": 1_234_000_000, "note": name,
    }  # fmt: skip
    compared = {
        "time": "2026-12-01T00:00:00+00:00", "checkpoint": "c", "weights_sha256": "ab" * 32, "corpora": {},
        "rows": {"held-out": 8, "evaluation": 8}, "examples": 8, "own_cost": "not stated", "models": [model],
    }  # fmt: skip
    return pages.report_page(parsed(phase_3()), Baselines.from_json(compared))


def test_a_page_shows_what_other_models_translate() -> None:
    tame, hostile = Read(with_baselines("x")), Read(with_baselines("".join(HOSTILE)))
    assert (tame.open, tame.strange) == ([], []) == (hostile.open, hostile.strange)
    assert tame.elements == hostile.elements and "other-models" in tame.of("id")
    text = " ".join(tame.text)
    assert "37.5%" in text and "50.0%" in text and "$1.23" in text and "1.25" in text
    without = report_page(phase_3())
    assert "other-models" not in without and with_baselines("x").count("<section") == without.count("<section") + 1


def with_opinions(folder: Path, said: str, count: int = 2) -> str:
    """Return a page with opinions in which a supervisor writes `said`; the last of them is none."""
    told: dict[str, Any] = {"signs": [said], "evidence": [{"step": 60, "figure": said}], "advice": said, "note": said}
    for number in range(count - 1):
        record_opinion(folder, an_opinion(number, verdict="stop", confidence="high", model=said, **told))
    record_opinion(folder, an_opinion(count, outcome=f"refused: {said}"))
    return pages.report_page(parsed(phase_3()), training=folder)


def test_a_page_shows_what_a_supervisor_said_and_lets_it_say_nothing_else(tmp_path: Path) -> None:
    tame = Read(with_opinions(tmp_path / "tame", "the loss is flat"))
    hostile = Read(with_opinions(tmp_path / "hostile", "".join(HOSTILE).replace("\ud800", "")))
    assert (tame.open, tame.strange) == ([], []) == (hostile.open, hostile.strange)
    assert tame.elements == hostile.elements and "opinions" in tame.of("id")
    text = " ".join(tame.text)
    assert "the loss is flat" in text and "✗ stop" in text and "refused: the loss is flat" in text
    many = with_opinions(tmp_path / "many", "x", 30)
    assert many.count('data-label="opinion"') == 20 and "The newest 20 of 30 are shown." in many


def test_without_opinions_or_if_they_cannot_be_read_a_page_is_the_same(tmp_path: Path) -> None:
    without = report_page(phase_3())
    assert pages.report_page(parsed(phase_3()), training=tmp_path) == without
    (tmp_path / "opinions.jsonl").mkdir()
    assert pages.report_page(parsed(phase_3()), training=tmp_path) == without and "opinions" not in without


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_a_real_report_becomes_a_page(curriculum: Curriculum, phase: int) -> None:
    evaluation = curriculum.phases[phase].evaluation
    text = "".join(read(evaluation.report.to_json()).text)
    for result in evaluation.verdict.gates:
        assert result.name in text and result.reason in text
    for asset, version in evaluation.verdict.corpora.items():
        assert asset in text and version in text


def saying(written: str) -> dict[str, Any]:
    """Return a report in which every text ends with `written`, also the names of operations, assets and figures."""
    report: dict[str, Any] = changed(phase_3(), lambda value: f"{value}{written}" if isinstance(value, str) else value)
    named = (report["figures"], "by_operation"), (report, "corpora"), (report["comparison"], "figures")
    for part, key in named:
        part[key] = {f"{name}{written}": found for name, found in part[key].items()}
    return report


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_model_writes_adds_no_element_and_no_attribute(hostile: str) -> None:
    tame, found = read(saying("x")), read(saying(hostile))
    assert found.elements == tame.elements
    assert [(tag, name) for tag, name, _ in found.attributes] == [(tag, name) for tag, name, _ in tame.attributes]
    shown = [*found.text, *(value for _, _, value in found.attributes)]
    assert sum(hostile in text for text in shown) > 100 or not hostile.isprintable()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_every_character_that_a_model_writes_shows(hostile: str) -> None:
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\ufeff\ud800-\udfff]", report_page(saying(hostile))
    )


def test_control_characters_show_as_symbols() -> None:
    assert "a␀␛[31m␡⟨U+009B⟩⇥⏎z⟨U+202E⟩" in report_page(saying("a\x00\x1b[31m\x7f\x9b\t\nz\u202e"))


@pytest.mark.parametrize("name", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("report", [phase_1, phase_3])
def test_figures_that_are_not_finite_are_shown_by_name(report: Callable[[], dict[str, Any]], name: str) -> None:
    broken = changed(report(), lambda value: name if isinstance(value, float) else value)
    found = read(broken)
    assert name in found.text
    assert "no loss was recorded" in found.text


def test_a_page_opens_with_verdict_grade_comparison_and_what_failed() -> None:
    report = phase_3() | {"outcome": "fail", "stopped": "gate perplexity failed: much"}
    head = report_page(report).split("</header>")[0]
    shown = "".join(Read(head).text)
    for said in ("Phase 3: Translation", "✗ fail", "3 gates: 1 pass, 1 warn, 1 fail", "▼ worse than the report before",
                 "Its training was stopped at epoch 5 of 5: gate perplexity failed",
                 "exact_match_to_hlx: the reason of", "85.5 of 100 points", "27 of 30", "it never rose",
                 "75.0%"):  # fmt: skip
        assert said in shown


@pytest.mark.parametrize("page", [pages.report_page, pages.report_markdown])
def test_a_letter_that_is_not_that_of_the_points_says_why(page: Callable[[Report], str]) -> None:
    report = phase_3()
    report["grade"] |= {"letter": "D", "capped": "12.5% of 8 answers"}
    assert "12.5% of 8 answers" in page(parsed(report)) and "No grade" not in page(parsed(report))
    report["grade"] |= {"letter": None, "capped": "nothing was held out"}
    assert "No grade: nothing was held out" in page(parsed(report)) and "None" not in page(parsed(report))


def test_every_outcome_has_a_sign_besides_its_colour() -> None:
    shown = re.findall(r'<span class="badge (\w+)">(.) (\w+)</span>', report_page(phase_3()))
    assert all(kind == word for kind, _, word in shown)
    assert {word: sign for word, sign, _ in shown} == {
        "pass": "✓", "warn": "!", "fail": "✗", "better": "▲", "same": "=", "worse": "▼",
    }  # fmt: skip


def test_phases_1_and_2_have_no_sections_on_translations() -> None:
    first, third = report_page(phase_1()), report_page(phase_3())
    for anchor in ("translation", "between-formats", "by-operation", "by-length", "worst-answers"):
        assert f'id="{anchor}"' not in first and f'id="{anchor}"' in third
    assert "There is no earlier report of this phase to compare with." in first


def test_the_twenty_most_frequent_operations_are_shown_others_folded() -> None:
    before, folded = report_page(phase_3()).split("<details>")
    folded = folded.split("</details>")[0]
    assert "5 more operations" in folded
    assert [f">operation{i}<" in before for i in range(25)] == [i < 20 for i in range(25)]
    assert [f">operation{i}<" in folded for i in range(25)] == [i >= 20 for i in range(25)]


def test_a_difference_marks_what_is_missing_and_what_is_wrong() -> None:
    report = phase_3()
    report["worst"][0]["diff"] = [["equal", "ab "], ["delete", "<c>"], ["insert", "d\n"]]
    assert "<code><span>ab </span><del>&lt;c&gt;</del><ins>d⏎</ins></code>" in report_page(report)


def bars(report: dict[str, Any]) -> dict[str, str]:
    """Return the bars of a page by their accessible text."""
    found = re.findall(
        r'<span class="bar" role="img" aria-label="([^"]*)" title="\1">(.*?)</span>', report_page(report)
    )
    return dict(found)


def test_a_bar_has_the_length_of_its_rate_and_a_whisker_at_its_interval() -> None:
    report = phase_3()
    report["gates"] = [{**gate("exact", "pass", 0.25, [0.1, 0.5]), "threshold": 0.05}]
    report["figures"]["all_to_hlx"] = rates(12, 16, 14)
    shown = bars(report)
    assert shown["exact: 25.0%, 95% interval 10.0–50.0%"] == (
        '<i class="rate" style="width:25.00%"></i><i class="whisker" style="left:10.00%;width:40.00%"></i>'
        '<i class="threshold" style="left:5.00%"></i>'
    )
    (both,) = [bar for text, bar in shown.items() if text.startswith("English → HLX, all, exact match over 16 samples")]
    assert both.startswith('<i class="behind" style="width:87.50%"></i><i class="rate" style="width:75.00%"></i>')
    assert shown[f"{PART_NAMES[0]}, share of its points: 90.0%"] == '<i class="rate" style="width:90.00%"></i>'


def test_a_bar_without_samples_is_empty() -> None:
    assert bars(phase_3())["129–, no samples: –"] == '<i class="rate" style="width:0.00%"></i>'
