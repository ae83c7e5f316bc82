"""A real checkpoint beside models of others: the file, the sample for Inspect, the page, and nothing else changes."""

import json
from pathlib import Path

import pytest

from hlx_model.baselines.compare import Comparison, compare
from hlx_model.baselines.own import own_cost
from hlx_model.evaluation.documents import KeptExamples
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.language import Format
from hlx_model.layout import BASELINES, BASELINES_SAMPLE, PAGE, REPORT, Artifacts
from hlx_model.providers.question import Answer, Choice, Outcome, Question
from hlx_model.reporting.baselines import Baselines
from tests.support.curriculum import Curriculum, copied
from tests.support.fake_client import FakeClient, answered, refused

NO_EXAMPLES = KeptExamples(None, "evaluation_examples was never materialized")
ROWS = 2 * len(Format)
HOSTILE = "<script>alert(1)</script>\ud800`|"


class Price:
    """Free."""

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        return 0


def hostile(question: Question) -> Answer:
    return answered(question, {"hlx": HOSTILE})


def compared(checkpoint: Path, client: FakeClient, *models: str) -> Comparison:
    choices = [Choice("qwen", model) for model in models]
    cost = own_cost(usd_per_hour=2)
    return compare(checkpoint, client, choices, lambda choice: Price(), NO_EXAMPLES, cost, sentences=2)


def test_a_comparison_is_written_and_shown_and_no_verdict_changes(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    artifacts = Artifacts.of_checkpoint(checkpoint)
    before = evaluate(checkpoint)
    page, report = ((before.directory / name).read_bytes() for name in (PAGE, REPORT))

    made = compared(checkpoint, FakeClient(hostile), "qwen3:8b", "<b>other</b>")
    assert made.directory == artifacts.baselines(checkpoint)
    assert Baselines.read(made.directory / BASELINES) == made.baselines
    ours, *others = made.baselines.models
    assert ours.own and ours.name == f"{checkpoint.parents[1].name}/{checkpoint.name}"
    assert {model.all_to_hlx["held-out"].samples for model in (ours, *others)} == {ROWS}
    assert {model.all_to_hlx["held-out"].parse_rate for model in others} == {0.0}
    assert ours.all_to_hlx["held-out"].parse_rate > 0 and ours.cost_per_1000_nanodollars
    assert others[0].cost_per_1000 == "$0.00"
    assert made.baselines.evaluation_note and "never materialized" in made.baselines.evaluation_note
    # The verdict seals the page: it is not written again before the next evaluation.
    assert (before.directory / PAGE).read_bytes() == page

    after = evaluate(checkpoint)
    assert after.verdict == before.verdict and (after.directory / REPORT).read_bytes() == report
    shown = (after.directory / PAGE).read_text(encoding="utf-8")
    assert 'href="#other-models"' in shown and "qwen/qwen3:8b" in shown and "qwen/&lt;b&gt;other&lt;/b&gt;" in shown
    (made.directory / BASELINES).write_text("{}")
    assert (evaluate(checkpoint).directory / PAGE).read_bytes() == page


def test_inspect_reads_the_sample_and_finds_every_answer(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    made = compared(checkpoint, FakeClient(hostile), "qwen3:8b")
    lines = (made.directory / BASELINES_SAMPLE).read_text(encoding="ascii").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == len({record["id"] for record in records}) == ROWS
    for record in records:
        assert set(record) == {"id", "input", "target", "metadata"}
        assert [message["role"] for message in record["input"]] == ["system", "user"]
        assert record["target"] and all(isinstance(text, str) for text in record["target"])
        answers = record["metadata"]["answers"]
        assert set(answers) == {model.name for model in made.baselines.models}
        assert answers["qwen/qwen3:8b"] == {
            "written": HOSTILE.replace("\ud800", "?"), "outcome": "answered",
            "strict": False, "lenient": False, "parses": False,
        }  # fmt: skip
        ours = answers[made.baselines.models[0].name]
        assert ours["strict"] == (ours["written"] in record["target"])


def test_a_comparison_without_any_answer_writes_nothing(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)

    def unasked(question: Question) -> Outcome:
        return refused(question, "no key: `hlx keys add`", asked=False)

    with pytest.raises(ValueError, match=r"no other model answered: qwen/a: refused: no key: `hlx keys add`; qwen/b: "):
        compared(checkpoint, FakeClient(unasked), "a", "b")
    assert not Artifacts.of_checkpoint(checkpoint).baselines(checkpoint).exists()


def test_one_model_that_fails_does_not_lose_the_others(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)

    def first_alone(question: Question) -> Outcome:
        gone = refused(question, "there is no such model", asked=True, status=404)
        return hostile(question) if question.choice.model == "a" else gone

    made = compared(checkpoint, FakeClient(first_alone), "b", "a")
    _, gone, answering = made.baselines.models
    assert (gone.samples, gone.note) == (0, "refused: there is no such model")
    assert answering.samples == ROWS and answering.note is None


def test_only_a_model_that_translates_is_compared(curriculum: Curriculum) -> None:
    with pytest.raises(ValueError, match="a model of phase 2 does not translate"):
        compared(curriculum.phases[2].checkpoint, FakeClient(hostile), "a")
