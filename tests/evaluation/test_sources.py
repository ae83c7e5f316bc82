"""Figures by source: composed entries, each of the user's documents, and the evaluation."""

from pathlib import Path

import pyarrow as pa
import pytest

from hlx_model.corpus import store
from hlx_model.corpus.build import read_documents
from hlx_model.corpus.documents import is_composed, keep_documents, kept_documents
from hlx_model.evaluation.documents import Evaluation, read_evaluation
from hlx_model.evaluation.evaluate import evaluate_model
from hlx_model.evaluation.measurements import SMALLEST_SAMPLE, Measurements
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.layout import Artifacts
from hlx_model.reporting.models import SourceRates
from tests.support.documents import small_text
from tests.support.models import Writer

EXAM = 'English: Search for the kumquats\nHLXL: {1000: {@0: "search", @1: &h_kumquats}}\n'


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, frozenset[str]]:
    """The pairs of a small document with composed entries beside it, and the name of the composed document."""
    root = tmp_path_factory.mktemp("mixed")
    (root / "mine.md").write_text(small_text(), encoding="utf-8")
    artifacts = Artifacts.at(root)
    document = keep_documents(artifacts, [root / "mine.md"], composed=1000)
    examples, _ = read_documents(artifacts, document, seq_length=256)
    pairs = store.store_derived(artifacts, "paired_corpus", examples)
    return store.load(pairs), frozenset(one.name for one in kept_documents(document) if is_composed(one))


def measured(mixed: tuple[pa.Table, frozenset[str]], right: str) -> dict[str, SourceRates]:
    """Return the figures by source of a model that knows the pairs of a document whose name begins so."""
    table, composed = mixed
    known = {row["prompt"]: row["answer"] for row in table.to_pylist() if row["document"].startswith(right)}
    target = EvaluationTarget("a model", 3, "tiny", "ab" * 32, {}, composed=composed)
    model = Writer(lambda prompt: known.get(prompt, "nothing"))
    m = Measurements(target, model, {"paired_corpus": table}, SMALLEST_SAMPLE)
    return {source.kind: source for source in m.by_source}


def test_a_small_document_beside_composed_entries_has_figures_of_its_own(
    mixed: tuple[pa.Table, frozenset[str]],
) -> None:
    found = measured(mixed, "mine.md")
    composed, document = found["composed"], found["document"]
    assert (composed.name, document.name) == ("composed entries", "mine.md")
    assert document.to_hlx.samples >= 4 and document.to_english.samples >= 4
    assert document.to_hlx.exact_match == document.to_english.exact_match == 1
    assert document.trained_to_hlx is not None and document.trained_to_hlx.exact_match == 1
    assert 0 < document.trained_to_hlx.samples <= SMALLEST_SAMPLE.training
    assert composed.to_hlx.samples >= 2 * SMALLEST_SAMPLE.rows
    assert composed.to_hlx.exact_match == 0 and composed.trained_to_hlx is None
    low, high = document.to_hlx.exact_match_interval
    assert low < high == 1


def test_what_is_right_of_composed_entries_says_nothing_about_a_document(
    mixed: tuple[pa.Table, frozenset[str]],
) -> None:
    found = measured(mixed, "composed")
    assert found["composed"].to_hlx.exact_match == 1
    assert found["document"].to_hlx.exact_match == 0


def test_the_evaluation_is_the_last_source_of_a_report(mixed: tuple[pa.Table, frozenset[str]], tmp_path: Path) -> None:
    (tmp_path / "exam.md").write_text(EXAM, encoding="utf-8")
    table, composed = mixed
    target = EvaluationTarget("a model", 3, "tiny", "ab" * 32, {"paired_corpus": "cd" * 32}, composed=composed)
    model = Writer(lambda prompt: "Search for the kumquats" if prompt.startswith("[English]") else "7")
    evaluation = Evaluation(read_evaluation([tmp_path / "exam.md"]))
    result = evaluate_model(target, model, {"paired_corpus": table}, tmp_path / "report", evaluation=evaluation)
    assert result.report.translation is not None
    sources = result.report.translation.by_source
    assert [source.kind for source in sources] == ["composed", "document", "evaluation"]
    assert (sources[-1].to_hlx.exact_match, sources[-1].to_english.exact_match) == (0, 1)
    assert "| `evaluation: exam.md` | 0.0% (" in result.markdown and "## By source" in result.markdown
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert 'id="by-source"' in page and "evaluation: exam.md" in page


def test_each_pair_of_languages_is_measured_on_other_entries(mixed: tuple[pa.Table, frozenset[str]]) -> None:
    """The same entries in four formats are hardly more evidence than in one."""
    table, composed = mixed
    target = EvaluationTarget("a model", 3, "tiny", "ab" * 32, {}, composed=composed)
    m = Measurements(target, Writer(lambda prompt: "nothing"), {"paired_corpus": table}, SMALLEST_SAMPLE)
    asked: dict[tuple[str, str], set[str]] = {}
    for row in m.translations.rows:
        asked.setdefault((row.source, row.target), set()).add(row.value_sha256)
    assert len(asked) == 8
    assert len(set().union(*asked.values())) > 2 * SMALLEST_SAMPLE.rows
