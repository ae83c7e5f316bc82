"""Evaluate a checkpoint: one verdict and one report, as JSON for programs and as a page (and Markdown) for people.

A checkpoint is evaluated on the corpora that its manifest names. A bad model gets its report too: that is when people
need it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import store
from hlx_model.evaluation.compare import compare_reports, previous_report
from hlx_model.evaluation.downgrades import evaluate_gates
from hlx_model.evaluation.grade import grade
from hlx_model.evaluation.measurements import Measurements
from hlx_model.evaluation.metrics import examples, metrics, worst_answers
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import read_json, write_json, write_text
from hlx_model.layout import LOSS_PLOT, PAGE, REPORT, REPORT_MARKDOWN, Artifacts
from hlx_model.model.device import threads, threads_of
from hlx_model.model.transformer import Transformer
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.reporting.models import REPORT_SCHEMA, CurvePoint, Report
from hlx_model.reporting.pages import report_markdown, report_page
from hlx_model.reporting.plots import loss_svg
from hlx_model.runs.metrics import read_metrics

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationResult:
    """A report that was written, and its verdict."""

    directory: Path
    report: Report
    verdict: Verdict

    @property
    def markdown(self) -> str:
        """Return the report for people."""
        return (self.directory / REPORT_MARKDOWN).read_text(encoding="utf-8")


def evaluate(checkpoint: Path, device: str = "cpu") -> EvaluationResult:
    """Evaluate a checkpoint on the gates of its phase; write report and verdict among the reports of its artifacts.

    Raises:
        ValueError: the checkpoint or its corpora cannot be read (`CheckpointError`, `CorpusError`).
    """
    verified = verify_checkpoint(checkpoint)
    manifest = verified.manifest
    artifacts = Artifacts.of_checkpoint(checkpoint)
    corpora = {asset: store.load(artifacts.root / v.path) for asset, v in manifest.corpora.items()}
    own = CORPUS_OF_PHASE[manifest.phase]
    if own not in corpora:
        raise CheckpointError(f"{checkpoint}: its manifest does not name {own}, on which phase {manifest.phase} is run")
    model = checkpoints.load_model(verified, device)
    directory = artifacts.report(checkpoint)
    previous = previous_report(directory.parents[1], directory, manifest.phase)
    return evaluate_model(target_of(checkpoint, manifest), model, corpora, directory, previous)


def evaluate_model(
    target: EvaluationTarget,
    model: Transformer,
    corpora: Mapping[str, pa.Table],
    directory: Path,
    previous: Report | None = None,
) -> EvaluationResult:
    """Evaluate a model on the gates of the target's phase, and write report and verdict.

    Args:
        target: what is known of the model.
        model: on the device to measure it on.
        corpora: rows by asset, those of the phase's corpus among them.
        directory: of the report.
        previous: the report of the same phase to compare with.
    """
    measurements = Measurements(target, model, corpora, Thresholds())
    with threads(threads_of(model.architecture)):
        gates = evaluate_gates(measurements)
        measured = metrics(measurements)
    verdict = Verdict.of(
        gates, checkpoint=target.name, weights_sha256=target.weights_sha256, corpora=dict(target.corpora)
    )
    report = Report.model_validate({
        "schema": REPORT_SCHEMA,
        **dict(verdict),
        **{name: getattr(target, name) for name in ("phase", "size", "epoch", "epochs", "step", "kind", "stopped")},
        "grade": grade(target.phase, measured, gates, target.curve, target.stopped),
        "comparison": None,
        "figures": measured,
        "examples": examples(measurements),
        "worst": worst_answers(measurements),
        "milestones": target.milestones,
        "curve": target.curve,
    })  # fmt: skip
    if previous:
        report = report.model_copy(update={"comparison": compare_reports(previous, report)})
    _write(directory, report)
    verdict.write(directory)
    return EvaluationResult(directory, report, verdict)


def _write(directory: Path, report: Report) -> None:
    """Write the report as JSON, as a page and as Markdown, and the plot of the losses."""
    write_json(directory / REPORT, report.to_json())
    write_text(directory / PAGE, report_page(report))
    write_text(directory / LOSS_PLOT, loss_svg(report))
    write_text(directory / REPORT_MARKDOWN, report_markdown(report))


def target_of(checkpoint: Path, manifest: Manifest) -> EvaluationTarget:
    """Return what manifest, state and the reports on its ancestors record of a checkpoint."""
    m, state, training = manifest, read_state(checkpoint), checkpoint.absolute().parents[1]
    return EvaluationTarget(
        name=f"{m.training_id}/{checkpoint.name}",
        phase=m.phase,
        size=m.size,
        weights_sha256=m.weights_sha256,
        corpora={asset: version.data_version for asset, version in m.corpora.items()},
        ungated=tuple(m.ungated),
        reported_loss=state.epoch_losses[-1] if state.epoch_losses else None,
        earlier_losses=_earlier_losses(checkpoint, m),
        replay=m.settings["replay"],
        kind=m.kind,
        epoch=m.epoch,
        epochs=m.epochs,
        step=m.step,
        stopped=m.stopped,
        milestones=tuple(state.milestones),
        curve=[CurvePoint.from_json(row) for row in read_metrics(training) if row["step"] <= m.step],
    )


def _earlier_losses(checkpoint: Path, manifest: Manifest) -> dict[str, float]:
    """Return the held-out loss by asset in the reports on this checkpoint's ancestors, in nats."""
    losses: dict[str, float] = {}
    training = checkpoint.absolute().parents[2]
    while (parent := manifest.parent) is not None:
        ancestor = training / parent.training_id / "checkpoints" / parent.name
        try:
            manifest = read_manifest(ancestor)
        except CheckpointError as error:
            log.warning("%s is missing, so the phases before it are not compared (%s)", parent.name, error)
            break
        try:
            report = read_json(Artifacts.of_checkpoint(ancestor).report(ancestor) / REPORT)
        except (OSError, ValueError) as error:
            log.warning("the report on %s is missing, so its phase is not compared (%s)", parent.name, error)
            continue
        losses.setdefault(CORPUS_OF_PHASE[manifest.phase], float(report["figures"]["held_out_loss"]))
    return losses
