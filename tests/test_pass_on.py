"""The best checkpoint of a training is judged, starts the next phase, and is shown as what was chosen."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hlx_assets.curriculum.checks import examine
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.verdict import require_passed
from hlx_model.history import history
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.provenance.verify import verify_lineage
from hlx_model.release.card import card
from hlx_model.reporting.models import Report
from hlx_model.reporting.pages import report_markdown, report_page
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from tests.support.command import Hlx
from tests.support.curriculum import CPU, QUICK, Curriculum
from tests.support.reports import parsed, phase_1

CHOSEN = "the best of 30 epochs, chosen (pass_on: best)"


class Passed:
    """A copy of the curriculum in which phase 1 passes on its best checkpoint, and phase 2 has started from it."""

    def __init__(self, curriculum: Curriculum, root: Path) -> None:
        shutil.copytree(curriculum.root, root)
        self.training, self.document = root / "training", curriculum.document
        self.plan = replace(curriculum.phases[1].plan, directory=self.training / curriculum.phases[1].plan.id)
        self.best = train(self.plan, execution=CPU, pass_on="best").checkpoint
        self.final = self.best.parent / curriculum.phases[1].checkpoint.name
        # The best epoch was long before this small document was learned by heart.
        self.evaluation = evaluate(self.best, requirements=Requirements(changed={"words": 0.0}))
        plan = plan_training(
            2, QUICK, Overrides(epochs=1), corpus=[self.document], training=self.training,
            parent=(parent := verify_checkpoint(self.best)), parent_verdict=require_passed(parent).parent_verdict,
        )  # fmt: skip
        self.child = train(plan, execution=CPU).checkpoint


@pytest.fixture(scope="module")
def passed(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Passed:
    return Passed(curriculum, tmp_path_factory.mktemp("passed") / "artifacts")


def test_the_next_phase_starts_from_the_best_checkpoint(passed: Passed) -> None:
    child, best = read_manifest(passed.child), read_manifest(passed.best)
    assert (best.kind, best.epochs) == ("BEST", 30) and best.epoch < 30
    assert child.parent is not None
    assert (child.parent.name, child.parent.weights_sha256) == (passed.best.name, best.weights_sha256)
    assert (child.parent.pass_on, child.ungated) == ("best", ())
    assert [link for link in verify_lineage(passed.child) if link.outcome == "broken"] == []


def test_the_best_checkpoint_of_a_completed_training_counts_as_completed(passed: Passed) -> None:
    gates = {gate.name: gate for gate in (*passed.evaluation.verdict.gates, *examine(passed.best))}
    epoch = read_manifest(passed.best).epoch
    completed = gates["training_completed"]
    assert (completed.outcome, completed.reason) == (
        "pass",
        f"completed its last epoch, 30; the best was epoch {epoch}",
    )
    assert "30" in gates["gates_in_training"].reason, "also those after the best epoch"
    assert [m.epoch for m in passed.evaluation.report.milestones] == [1, 5, 10, 20, 30]


def test_a_best_checkpoint_without_a_final_one_is_intermediate(passed: Passed, tmp_path: Path) -> None:
    alone = tmp_path / passed.best.parents[1].name / "checkpoints" / passed.best.name
    shutil.copytree(passed.best, alone)
    (completed,) = [gate for gate in examine(alone) if gate.name == "training_completed"]
    assert completed.outcome == "warn" and "intermediate checkpoint" in completed.reason


def test_lineage_report_and_card_say_that_it_was_chosen(passed: Passed, hlx: Hlx) -> None:
    where = ("--checkpoint-dir", passed.training)
    for named in (passed.best, passed.child):
        assert hlx("lineage", "show", named, *where).out.count(CHOSEN) == 1
        assert (
            CHOSEN.replace("(", "#40;").replace(")", "#41;") in hlx("lineage", "show", named, "--mermaid", *where).out
        )
    assert json.loads(hlx("lineage", "show", passed.best, "--json", *where).out)["pass_on"] == "best"
    assert "pass_on" not in json.loads(hlx("lineage", "show", passed.final, "--json", *where).out)
    for text in (report_markdown(passed.evaluation.report), report_page(passed.evaluation.report), card(passed.best)):
        assert CHOSEN in text and "Best of the training" not in text
    assert CHOSEN not in card(passed.final)


def test_the_report_on_the_final_checkpoint_names_the_best_one(curriculum: Curriculum) -> None:
    one = curriculum.phases[1]
    report = one.evaluation.report
    losses = [point.held_out_loss for point in report.curve if point.held_out_loss is not None]
    assert report.best is not None and report.pass_on is None
    assert (report.best.held_out_loss, report.best.epoch) == (min(losses), losses.index(min(losses)) + 1)
    assert report.best.checkpoint and (one.checkpoint.parent / report.best.checkpoint).is_dir()
    line = (
        f"Best of the training: {report.best.checkpoint} (pass_on: best passes it on). Its validation loss was "
        f"{min(losses):.2f}, {losses[-1] - min(losses):.2f} lower than this checkpoint's {losses[-1]:.2f}"
    )
    for text in (report_markdown(report), re.sub("&#39;", "'", report_page(report)), card(one.checkpoint)):
        assert line in text and "chosen (pass_on" not in text


@pytest.mark.parametrize(
    ("best", "shown"),
    [
        ({"epoch": 3, "held_out_loss": 0.75, "checkpoint": "phase1_BEST_epoch3"}, "phase1_BEST_epoch3 (pass_on: best"),
        ({"epoch": 3, "held_out_loss": 0.75, "checkpoint": None}, "epoch 3, whose checkpoint does not exist any more."),
        ({"epoch": 5, "held_out_loss": 1.25, "checkpoint": "phase1_BEST_epoch5"}, None),
        ({"epoch": 3, "held_out_loss": "nan", "checkpoint": None}, None),
        (None, None),
    ],
)  # fmt: skip
def test_a_report_names_the_best_checkpoint_only_if_it_is_better(best: object, shown: str | None) -> None:
    report = parsed({**phase_1(), "best": best})
    for text in (report_markdown(report), report_page(report)):
        assert ("Best of the training: " in text) == (shown is not None) and (shown or "") in text
    assert "Best of the training: " not in report_page(parsed({**phase_1(), "best": best, "curve": []}))


def test_an_older_report_without_these_fields_is_read() -> None:
    older = {name: value for name, value in phase_1().items() if name not in ("best", "pass_on")}
    assert (Report.from_json(older).best, Report.from_json(older).pass_on) == (None, None)


def test_the_history_shows_the_checkpoint_that_is_passed_on(passed: Passed, hlx: Hlx) -> None:
    row = next(row for row in history(passed.training) if row.training_id == passed.plan.id)
    assert (row.checkpoint, row.checkpoint_kind, row.status) == (passed.best.name, "BEST", "completed")
    assert (row.verdict, row.grade) == (
        passed.evaluation.verdict.outcome, passed.evaluation.report.grade.letter,
    )  # fmt: skip
    assert row.best_held_out_loss is not None and row.held_out_loss is not None
    assert row.best_held_out_loss < row.held_out_loss
    shown = hlx("history", "--checkpoint-dir", passed.training).out
    lines = shown.splitlines()
    first = next(number for number, line in enumerate(lines) if passed.plan.id[:8] in line and "1 tiny" in line)
    of_training = "\n".join(lines[first : first + 2])  # two lines in a narrow terminal
    assert "completed, best" in of_training and f"{row.best_held_out_loss:.3f}" in of_training


def test_the_id_of_a_training_names_what_it_passes_on(passed: Passed, hlx: Hlx, tmp_path: Path) -> None:
    assert checkpoint_of(passed.plan.id, passed.training) == passed.best
    assert hlx("export", passed.plan.id, tmp_path / "brain", "--checkpoint-dir", passed.training).code == 0
    assert read_manifest(tmp_path / "brain") == read_manifest(passed.best)
    assert CHOSEN in (tmp_path / "brain" / "README.md").read_text(encoding="utf-8")


def test_hlx_train_passes_on_the_best_and_the_final_checkpoint(passed: Passed, hlx: Hlx) -> None:
    command = (
        "train", "--phase", 1, "--corpus", passed.document, "--checkpoint-dir", passed.training, "--no-fp16",
        "--epochs", 30, "--batch-size", 1, "--replay", 0.1,
    )  # fmt: skip
    ran = hlx(*command, "--pass-on", "best")
    said = (
        f"this training has already ended: nothing to do\npassed on: epoch {read_manifest(passed.best).epoch}, {CHOSEN}"
    )
    assert ran.code == 0 and ran.err.endswith(f"{said}\nnext: hlx validate --checkpoint {passed.best}\n")
    final = hlx(*command)
    assert final.code == 0 and final.err.endswith(f"next: hlx validate --checkpoint {passed.final}\n")
    assert "passed on" not in final.err and checkpoint_of(passed.plan.id, passed.training) == passed.final
    shown = hlx("lineage", "show", passed.child, "--checkpoint-dir", passed.training).out
    assert CHOSEN in shown, "its child started from it when it was chosen"
    assert hlx(*command, "--pass-on", "best").code == 0
    refused = hlx(*command, "--pass-on", "last")
    assert refused.code == 1 and refused.error == "error: pass_on is 'last': choose one of final, best"
