"""Every text for people names the split that was measured: validation while a model trains, test in a report."""

import html
import re
from collections.abc import Iterator

import pyarrow.compute as pc
import pytest

from hlx_model.corpus import Split, store
from hlx_model.evaluation.gates import GATES, MILESTONE_GATES
from hlx_model.evaluation.spec import GateSpec, MilestoneSpec
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.uses import uses_of_text
from hlx_model.release.card import card
from hlx_model.reporting.pages import report_markdown, report_page
from tests.cli.test_help import ALL
from tests.support.curriculum import Curriculum

UNNAMED = re.compile(r"held[- ]out (?:loss|text|row|pair|sentence|value|token|line|one)", re.IGNORECASE)
"""Words that say that a figure is of text that is held out, and not of which split."""


def texts(curriculum: Curriculum) -> Iterator[str]:
    """Yield the report on each phase as page and as Markdown, and its model card."""
    for one in curriculum.phases.values():
        yield html.unescape(re.sub(r"<[^>]*>", "", report_page(one.evaluation.report)))
        yield report_markdown(one.evaluation.report)
        yield card(one.checkpoint)


def test_reports_and_cards_name_the_split(curriculum: Curriculum) -> None:
    for text in texts(curriculum):
        assert UNNAMED.findall(text) == [] and re.search(r"\btest (?:text|pairs|rows|loss)\b|validation loss", text)


def test_the_curve_of_a_report_is_of_validation(curriculum: Curriculum) -> None:
    for one in curriculum.phases.values():
        page = report_page(one.evaluation.report)
        assert "● validation</text>" in page and "; validation loss " in page


@pytest.mark.parametrize("gate", MILESTONE_GATES.values(), ids=lambda gate: gate.name)
def test_a_gate_in_training_says_nothing_of_test(gate: MilestoneSpec) -> None:
    text = f"{gate.description} {gate.requirement}"
    assert not UNNAMED.search(text) and not re.search(r"\btest\b", text)


@pytest.mark.parametrize("gate", GATES.values(), ids=lambda gate: gate.name)
def test_a_gate_of_a_report_says_nothing_of_validation(gate: GateSpec) -> None:
    assert not UNNAMED.search(gate.documentation) and "validation" not in gate.documentation


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_names_the_split(path: tuple[str, ...]) -> None:
    command = ALL[path]
    for text in (command.help, *(getattr(parameter, "help", None) for parameter in command.params)):
        assert not UNNAMED.search(text or "")


@pytest.mark.parametrize("split", [Split.VALIDATION, Split.TEST])
def test_a_use_names_the_split(curriculum: Curriculum, split: Split) -> None:
    version = curriculum.phases[1].plan.corpora[CORPUS_OF_PHASE[1]]
    rows = store.load(curriculum.root / version.path)
    sentence = rows.filter(pc.field("split") == split)["english"][0].as_py()
    found = uses_of_text(sentence, curriculum.training).found
    assert {use.how for use in found} == {f"in {split}"} and {use.phase for use in found} == {1, 2, 3}
