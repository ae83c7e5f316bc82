"""A small curriculum, trained by the real trainer, and single trainings."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.evaluate import EvaluationResult, evaluate
from hlx_model.evaluation.verdict import Verdict
from hlx_model.layout import REPORT, REPORT_MARKDOWN, VERDICT, Artifacts
from hlx_model.profiles import PROFILES
from hlx_model.reporting.models import Report
from hlx_model.runs.directory import TrainingResult
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from tests.support.documents import small_text


@dataclass(frozen=True)
class Trained:
    """One phase that was trained and evaluated."""

    plan: TrainingPlan
    outcome: TrainingResult
    evaluation: EvaluationResult

    @property
    def checkpoint(self) -> Path:
        """Its FINAL checkpoint."""
        return self.outcome.checkpoint


@dataclass(frozen=True)
class Curriculum:
    """Three phases under one root of artifacts. A test that changes it takes a copy."""

    document: Path
    root: Path
    phases: dict[int, Trained]

    @property
    def training(self) -> Path:
        """The folder of the trainings."""
        return self.root / "training"


CPU = ExecutionConfig("cpu")
QUICK = replace(PROFILES["quick"], batch_size=4, mixed_precision=False)
"""The settings of a test that needs no others."""
SCHEDULES = {
    1: Overrides(epochs=30, batch_size=1, replay=0.1),
    2: Overrides(epochs=30, batch_size=4, replay=0.1),
    3: Overrides(epochs=8, batch_size=4, replay=0.1),
}
"""So long the small document is learned by heart: no gate fails."""


def train_curriculum(document: Path, root: Path) -> Curriculum:
    """Train and evaluate the three phases of the tiny model on a document; what is there already is read."""
    phases: dict[int, Trained] = {}
    parent, parent_verdict = None, None
    for phase, overrides in SCHEDULES.items():
        plan = plan_training(
            phase, QUICK, overrides,
            corpus=[document], training=root / "training", parent=parent, parent_verdict=parent_verdict,
            run_id="the run",
        )  # fmt: skip
        outcome = train(plan, execution=CPU)
        parent = verify_checkpoint(outcome.checkpoint)
        phases[phase] = Trained(plan, replace(outcome, found=False), evaluated(parent.path))
        parent_verdict = phases[phase].evaluation.verdict.parent_verdict
    return Curriculum(document, root, phases)


def evaluated(checkpoint: Path) -> EvaluationResult:
    """The evaluation of a checkpoint, made once."""
    directory = Artifacts.of_checkpoint(checkpoint).report(checkpoint)
    if not (directory / VERDICT).exists():
        return evaluate(checkpoint)
    markdown = (directory / REPORT_MARKDOWN).read_text(encoding="utf-8")
    return EvaluationResult(directory, Report.read(directory / REPORT), Verdict.read(directory), markdown, None)


def make_small_curriculum(folder: Path) -> None:
    """Train the curriculum on the small document in a folder: `small.md` and `artifacts`."""
    document = folder / "small.md"
    document.write_text(small_text(), encoding="utf-8")
    train_curriculum(document, folder / "artifacts")


def copied(curriculum: Curriculum, root: Path, phase: int) -> Path:
    """The FINAL checkpoint of a phase in a copy of the curriculum's artifacts, to change."""
    shutil.copytree(curriculum.root, root)
    return root / curriculum.phases[phase].checkpoint.relative_to(curriculum.root)


def trained(document: Path, root: Path, phase: int = 1, parent: Path | None = None, **overrides: object) -> Path:
    """The checkpoint that a short training ends with, FINAL or STOPPED; the gate of its parent is ignored."""
    settings = replace(Overrides(epochs=1, batch_size=4, learning_rate=1e-3), **overrides)  # type: ignore[arg-type]
    plan = plan_training(
        phase, QUICK, settings,
        corpus=[document], training=root / "training",
        parent=verify_checkpoint(parent) if parent else None, ungated=parent is not None,
    )  # fmt: skip
    return train(plan, execution=CPU).checkpoint


def stopped(document: Path, root: Path) -> Path:
    """A checkpoint whose training diverged."""
    checkpoint = trained(document, root, epochs=5, batch_size=1, learning_rate=10.0)
    assert "_STOPPED_" in checkpoint.name
    return checkpoint
