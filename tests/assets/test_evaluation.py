"""Evaluation documents in the graph: their checks stop nothing, and a report uses the latest examples that passed."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from hlx_assets.definitions import defs
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import store
from hlx_model.evaluation.verdict import Verdict, require_passed
from hlx_model.layout import REPORT, Artifacts
from hlx_model.provenance.evaluations import current_examples, stale_reports
from hlx_model.provenance.verify import verify_lineage
from hlx_model.reporting.models import Report
from tests.support.command import Hlx
from tests.support.dagster_home import Home, Run

DOCUMENT, EXAMPLES, REPORT_3 = "evaluation_document", "evaluation_examples", "phase3_validation_report"
EXAM = """## First things

English: Search for the kites
HLXL: {1000: {@0: "search", @1: &h_kites}}

English: Read the users
HLXL: {1000: {@0: "read", @1: &h_users}}
"""
OTHER = EXAM.replace("kites", "boats")
BROKEN = EXAM.replace("&h_kites}}", "&h_kites")


@pytest.fixture
def exam(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An evaluation document, named in the environment."""
    path = home.path / "exam.md"
    path.write_text(EXAM, encoding="utf-8")
    monkeypatch.setenv("HLX_EVAL", str(path))
    return path


def evaluate(home: Home) -> Run:
    """Materialize the evaluation and the report on phase 3."""
    return home.materialize(DOCUMENT, EXAMPLES, REPORT_3)


def report(home: Home) -> Report:
    return Report.read(home.latest(REPORT_3) / REPORT)


def shown_as_stale(home: Home) -> bool:
    with home.instance() as instance:
        context = LoadingContextForTest(instance)
        graph = defs.resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance=instance, asset_graph=graph, loading_context=context)
        return resolver.get_status(dg.AssetKey(REPORT_3)) == StaleStatus.STALE


def test_a_report_has_the_evaluation_and_its_version(home: Home, exam: Path) -> None:
    run = evaluate(home)
    assert run.success, run.failures
    assert all(check.passed for check in run.checks if check.asset_key.path == [DOCUMENT])
    found, version = report(home), home.latest(EXAMPLES).name
    assert found.evaluation is not None and found.evaluation_note is None
    assert found.evaluation.documents == ["exam.md"] and found.evaluation.sentences == 2
    assert found.evaluation.data_version == version == Verdict.read(home.latest(REPORT_3)).evaluation
    shown = run.materialization(REPORT_3).metadata
    assert shown["evaluation"].value == version


def test_overlap_with_training_is_counted_and_blocks_nothing(home: Home, exam: Path) -> None:
    rows = store.load(home.latest("corpus_examples")).to_pylist()
    seen = next(row for row in rows if row["split"] == "train" and row["english"])
    exam.write_text(f"{EXAM}\nEnglish: {seen['english']}\nHLXL: {seen['HLXL']}\n", encoding="utf-8")
    run = evaluate(home)
    assert run.success, run.failures
    found = report(home).evaluation
    assert found is not None and {"seen sentence", "unseen"} <= set(found.by_novelty)
    assert run.check(EXAMPLES, "schema").passed and run.check(EXAMPLES, "quarantine").passed
    few = run.check(EXAMPLES, "coverage")
    assert not few.passed and few.severity == dg.AssetCheckSeverity.WARN


def test_a_changed_evaluation_makes_a_report_stale_and_not_void(home: Home, exam: Path, hlx: Hlx) -> None:
    checkpoint, training = home.latest("phase3_checkpoint"), home.path / "artifacts" / "training"
    assert evaluate(home).success
    before = Verdict.read(home.latest(REPORT_3))
    assert not shown_as_stale(home) and not list(stale_reports(training))
    exam.write_text(f"A remark.\n\n{EXAM}", encoding="utf-8")
    assert home.materialize(DOCUMENT, EXAMPLES).success
    assert not shown_as_stale(home) and not list(stale_reports(training))

    exam.write_text(OTHER, encoding="utf-8")
    assert home.materialize(DOCUMENT, EXAMPLES).success
    assert shown_as_stale(home)
    (stale,) = stale_reports(training)
    assert stale.checkpoint == before.checkpoint and "evaluate it again" in stale.reason
    assert f"{before.checkpoint}: the report is stale: " in hlx("status", "--checkpoint-dir", training).out
    links = {link.link.partition(": ")[2]: link for link in verify_lineage(checkpoint)}
    assert links[EXAMPLES].outcome == "ok" and "stale" in links[EXAMPLES].reason
    assert {link.outcome for link in links.values()} == {"ok"}
    assert require_passed(verify_checkpoint(checkpoint)) == before

    assert evaluate(home).success
    assert not shown_as_stale(home) and not list(stale_reports(training))
    assert Verdict.read(home.latest(REPORT_3)).evaluation == home.latest(EXAMPLES).name != before.evaluation


@pytest.mark.parametrize(
    ("text", "asset", "check", "said"),
    [
        (None, DOCUMENT, "readable", "exam.md: no such file"),
        ("No entry.\n", DOCUMENT, "readable", "no entry found"),
        ("HLXL: 7\n", EXAMPLES, "quarantine", "no entry has a sentence"),
        (BROKEN, EXAMPLES, "quarantine", "exam.md line 3: "),
    ],
)
def test_a_bad_document_fails_a_check(
    home: Home, exam: Path, text: str | None, asset: str, check: str, said: str
) -> None:
    if text is None:
        exam.unlink()
    else:
        exam.write_text(text, encoding="utf-8")
    run = home.materialize(DOCUMENT, EXAMPLES)
    assert run.success, run.failures
    failed = run.check(asset, check)
    assert not failed.passed and failed.severity == dg.AssetCheckSeverity.ERROR
    assert said in (failed.description or "")


def test_a_bad_document_blocks_no_report_which_says_so(home: Home, exam: Path) -> None:
    exam.write_text("No entry.\n", encoding="utf-8")
    run = home.materialize(DOCUMENT, EXAMPLES, "phase3_checkpoint", REPORT_3)
    assert run.success, run.failures
    assert not run.check(DOCUMENT, "readable").passed
    # That of the whole curriculum is for models that learned composed entries.
    found = report(home)
    assert found.evaluation is None and (found.evaluation_note or "").startswith("no evaluation document")


def test_a_report_uses_the_latest_examples_that_passed(home: Home, exam: Path) -> None:
    assert evaluate(home).success
    good = home.latest(EXAMPLES).name
    exam.write_text(BROKEN, encoding="utf-8")
    run = evaluate(home)
    assert run.success and not run.check(EXAMPLES, "quarantine").passed
    found = report(home)
    assert found.evaluation is not None and found.evaluation.data_version == good != home.latest(EXAMPLES).name
    assert "not on the newest evaluation documents" in (found.evaluation_note or "")
    assert "line 3" in (found.evaluation_note or "") and "\n" not in (found.evaluation_note or "")


def test_one_unusable_document_among_others_fails_the_check(
    home: Home, exam: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_EVAL", f"{exam}:{home.path / 'none.md'}:{exam}")
    run = home.materialize(DOCUMENT, EXAMPLES)
    assert run.success, run.failures
    said = run.check(DOCUMENT, "readable").description or ""
    assert "none.md: no such file" in said and "exam.md: named twice" in said
    assert "none.md" in (run.check(EXAMPLES, "quarantine").description or "")
    assert current_examples(Artifacts(home.path / "artifacts" / "training").root).directory != home.latest(EXAMPLES)


def test_a_model_of_documents_alone_is_evaluated_on_named_ones_only(home: Home) -> None:
    assert home.latest(EXAMPLES).is_dir()
    found = report(home)
    assert found.evaluation is None and "HLX_EVAL" in (found.evaluation_note or "")
    assert Verdict.read(home.latest(REPORT_3)).evaluation is None
    assert not list(stale_reports(home.path / "artifacts" / "training"))


def test_the_launchpad_names_documents(home: Home, tmp_path: Path) -> None:
    own = tmp_path / "own.md"
    own.write_text(EXAM, encoding="utf-8")
    run = home.materialize(DOCUMENT, EXAMPLES, REPORT_3, evaluation_document={"eval": str(own)})
    assert run.success, run.failures
    found = report(home).evaluation
    assert found is not None and found.documents == ["own.md"]


def test_the_graph_and_the_command_line_give_one_version(home: Home, exam: Path, hlx: Hlx) -> None:
    assert home.materialize(DOCUMENT, EXAMPLES).success
    checkpoint = home.latest("phase3_checkpoint")
    assert hlx("validate", "--checkpoint", checkpoint, "--device", "cpu", "--eval", exam).code in (0, 1, 2)
    assert Verdict.read(home.latest(REPORT_3)).evaluation == home.latest(EXAMPLES).name
    assert not list(stale_reports(home.path / "artifacts" / "training"))
    assert read_manifest(checkpoint).training_id == checkpoint.parents[1].name
