"""Evaluate a checkpoint: one verdict and one report, as JSON for programs and as a page (and Markdown) for people.

A checkpoint is evaluated on the corpora that its manifest names. A bad model gets its report too: that is when people
need it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError, CorpusVersion, Manifest, read_manifest
from hlx_model.checkpoints.progress import Progress, read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import ENGLISH
from hlx_model.corpus.documents import is_composed
from hlx_model.corpus.entries import DocumentRef
from hlx_model.corpus.mapped import mapped_rows
from hlx_model.evaluation import translation
from hlx_model.evaluation.compare import compare_reports, previous_report
from hlx_model.evaluation.documents import (
    NO_EVALUATION,
    Evaluation,
    KeptExamples,
    documents_for,
    kept_for,
    named_for,
)
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.gates import GATES, GATES_OF_PHASE
from hlx_model.evaluation.grade import grade
from hlx_model.evaluation.measurements import Measurements
from hlx_model.evaluation.sources import evaluation_source
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.target import EvaluationTarget, Losses
from hlx_model.evaluation.verdict import GATES_VERSION, Verdict
from hlx_model.files import read_json, write_json, write_text
from hlx_model.language import Format
from hlx_model.layout import (
    CHECKPOINTS,
    EXAMPLES,
    LOSS_PLOT,
    MANIFEST,
    PAGE,
    REPORT,
    REPORT_MARKDOWN,
    Artifacts,
    training_of,
)
from hlx_model.model.device import threads, threads_of
from hlx_model.model.transformer import Transformer
from hlx_model.phases import CORPUS_OF_PHASE, PHASES
from hlx_model.profiles import options_for
from hlx_model.reporting.baselines import Baselines, read_baselines
from hlx_model.reporting.models import (
    REPORT_SCHEMA,
    BestEpoch,
    CurvePoint,
    Example,
    Figures,
    Report,
    TranslationFigures,
)
from hlx_model.reporting.pages import report_markdown, report_page
from hlx_model.reporting.plots import loss_svg
from hlx_model.runs.metrics import read_metrics
from hlx_model.runs.passing import best_name, final_beside, pass_on_of
from hlx_model.verdicts import Fitness, GateClosed, GateResult, worst

log = logging.getLogger(__name__)
T = TypeVar("T")

_SPREAD = 12
"""Examples that a report shows of texts without a right answer."""
_OF_EACH = 6
"""Right and wrong translations that it shows."""


class EvaluationResult(NamedTuple):
    """A report that was written, and its verdict."""

    directory: Path
    report: Report
    verdict: Verdict
    markdown: str
    """The report for people."""
    judged_anew: str | None
    """That its verdict before was of other gates, as one line; None if it was not."""


def evaluate(
    checkpoint: Path,
    device: str = "cpu",
    documents: Sequence[Path] = (),
    examples: KeptExamples | None = None,
    requirements: Requirements | None = None,
) -> EvaluationResult:
    """Evaluate a checkpoint on the gates of its phase; write report and verdict among the reports of its artifacts.

    Args:
        checkpoint: its directory.
        device: what to compute on.
        documents: evaluation documents. By default those of `HLX_EVAL`, or, if it learned composed entries, the one of
            this project. They are kept among its artifacts.
        examples: kept ones to evaluate it on instead.
        requirements: the limits of the gates; by default those of `HLX_PROFILE`.

    Raises:
        ValueError: the checkpoint, its corpora or an evaluation document cannot be read (`CheckpointError`,
            `CorpusError`), or too many entries of an evaluation document have a defect (`GateClosed`).
    """
    verified = verify_checkpoint(checkpoint)
    manifest = verified.manifest
    artifacts = Artifacts.of_checkpoint(checkpoint)
    corpora = {asset: _rows(artifacts, version) for asset, version in manifest.corpora.items()}
    own = CORPUS_OF_PHASE[manifest.phase]
    if own not in corpora:
        raise CheckpointError(f"{checkpoint}: its manifest does not name {own}, the corpus of phase {manifest.phase}")
    model = checkpoints.load_model(verified, device)
    directory = artifacts.report(checkpoint)
    previous = previous_report(artifacts, checkpoint, manifest.phase)
    learned = documents_of(manifest)
    if PHASES[manifest.phase].writes != "translations":
        evaluation = NO_EVALUATION
    elif examples is not None:
        evaluation = kept_for(examples, learned)
    else:
        evaluation = named_for(documents, learned, artifacts)
    target = target_of(checkpoint, manifest)
    baselines = read_baselines(artifacts.baselines(checkpoint))
    return evaluate_model(
        target, model, corpora, directory, previous, evaluation, requirements, baselines, training_of(checkpoint)
    )


def _rows(artifacts: Artifacts, version: CorpusVersion) -> pa.Table:
    """Return the rows of a corpus with the documents and lines of the examples that a manifest names."""
    examples = None if version.examples is None else artifacts.corpus(EXAMPLES, version.examples)
    return mapped_rows(artifacts.root / version.path, examples)


def evaluate_model(
    target: EvaluationTarget, model: Transformer, corpora: Mapping[str, pa.Table], directory: Path,
    previous: Report | None = None, evaluation: Evaluation = NO_EVALUATION,
    requirements: Requirements | None = None, baselines: Baselines | None = None, trained_in: Path | None = None,
) -> EvaluationResult:  # fmt: skip
    """Evaluate a model on the gates of the target's phase, and write report and verdict.

    Args:
        target: what is known of the model.
        model: on the device to measure it on.
        corpora: rows by asset, those of the phase's corpus among them.
        directory: of the report.
        previous: the report of the same phase to compare with.
        evaluation: evaluation documents, or why there are none.
        requirements: the limits of the gates; by default those of `HLX_PROFILE`.
        baselines: what other models translate, for the page alone.
        trained_in: the directory of the training, for the page alone.
    """
    judged_anew = _judged_anew(directory)
    m = Measurements(target, model, corpora, evaluation=evaluation, requirements=requirements)
    with threads(threads_of(model.architecture)):
        gates = evaluate_gates(m)
        measured, on_documents = _metrics(m), m.evaluation
    pairs = [*m.translations.held_out, *m.translations.between] if m.writes == "translations" else []
    verdict = Verdict(
        outcome=worst(gates), gates=tuple(gates), checkpoint=target.name, weights_sha256=target.weights_sha256,
        corpora=dict(target.corpora), gates_version=GATES_VERSION, fitness=_applied(m.fitness, gates),
        evaluation=evaluation.documents.data_version if evaluation.documents else None,
    )  # fmt: skip
    report = Report.model_validate({
        "schema": REPORT_SCHEMA,
        **{name: value for name, value in verdict if name != "evaluation"},
        **{name: getattr(target, name) for name in ("phase", "size", "epoch", "epochs", "step", "kind", "stopped")},
        "grade": grade(measured, gates, target.curve, target.stopped, on_documents), "comparison": None,
        "evaluation": on_documents, "evaluation_note": evaluation.note, "figures": measured,
        "examples": _examples(m), "worst": translation.worst_answers(pairs),
        "milestones": target.milestones, "curve": target.curve, "best": target.best, "pass_on": target.pass_on,
    })  # fmt: skip
    if previous:
        report = report.model_copy(update={"comparison": compare_reports(previous, report)})
    write_json(directory / REPORT, report.to_json())
    write_text(directory / PAGE, report_page(report, baselines, trained_in))
    write_text(directory / LOSS_PLOT, loss_svg(report))
    markdown = report_markdown(report)
    write_text(directory / REPORT_MARKDOWN, markdown)
    verdict.write(directory)
    if judged_anew:
        judged_anew = f"{judged_anew}; the verdict now is {verdict.outcome}"
    return EvaluationResult(directory, report, verdict, markdown, judged_anew)


def _judged_anew(directory: Path) -> str | None:
    """Return that the verdict in the directory of a report is of other gates; None if there is none, or it is not."""
    try:
        before = Verdict.read(directory)
    except GateClosed:
        return None
    if not before.void:
        return None
    return f"judged by new gates: the verdict of version {before.gates_version} was {before.outcome}"


def documents_of(manifest: Manifest) -> list[DocumentRef]:
    """Return the documents that a checkpoint learned from."""
    return [document for version in manifest.corpora.values() for document in version.documents]


def evaluate_gates(m: Measurements) -> list[GateResult]:
    """Return the results of every gate of the phase, in their order."""
    return [evaluate_gate(GATES[name], m) for name in GATES_OF_PHASE[m.record.phase]]


def evaluate_gate(spec: GateSpec, m: Measurements) -> GateResult:
    """Return the result of one gate; the reason of a failure that training mends ends with how to train longer."""
    result, record = spec.check(m), m.record
    if result.outcome == "fail" and spec.mended_by_training and record.kind == "FINAL" and record.epochs:
        # By default another training has the settings of the present profile, not those of the checkpoint.
        options = f"--epochs {2 * record.epochs}{options_for(record.phase, record.settings)}"
        longer = f"hlx train --phase {record.phase} --resume-from {record.name} {options}"
        result = replace(result, reason=f"{result.reason}; train longer: {longer} (launchpad: continue_from, tokens)")
    return result


def _applied(fitness: Fitness, gates: Sequence[GateResult]) -> Fitness:
    """Return the limits of these gates alone."""
    limits = fitness.limits
    return fitness.replace(limits={gate.name: limits[gate.name] for gate in gates if gate.name in limits})


def target_of(checkpoint: Path, manifest: Manifest) -> EvaluationTarget:
    """Return what manifest, state and the reports on its ancestors record of a checkpoint."""
    state, metrics = read_state(checkpoint), read_metrics(training_of(checkpoint))
    final, artifacts = final_beside(checkpoint, manifest), Artifacts.of_checkpoint(checkpoint)
    return replace(
        recorded_target(manifest, checkpoint.name),
        reported_loss=state.epoch_losses[-1] if state.epoch_losses else None,
        earlier_losses=_earlier_losses(checkpoint, manifest),
        best_of_completed=final is not None,
        best=_best(checkpoint, manifest, state),
        pass_on=pass_on_of(checkpoint),
        milestones=tuple((read_state(final) if final else state).milestones),
        curve=[CurvePoint.from_json(row) for row in metrics if row["step"] <= manifest.step],
        evaluation_expected=bool(documents_for((), documents_of(manifest), artifacts)),
    )


def recorded_target(m: Manifest, name: str) -> EvaluationTarget:
    """Return what the manifest of a checkpoint of this name records."""
    learned = documents_of(m)
    return EvaluationTarget(
        f"{m.training_id}/{name}", m.phase, m.size, m.weights_sha256,
        corpora={asset: version.data_version for asset, version in m.corpora.items()},
        ungated=tuple(m.ungated), settings=m.settings,
        composed=frozenset(document.name for document in learned if is_composed(document)),
        kind=m.kind, epoch=m.epoch, epochs=m.epochs, step=m.step, stopped=m.stopped,
        evaluation_expected=bool(documents_for((), learned)),
    )  # fmt: skip


def _best(checkpoint: Path, manifest: Manifest, state: Progress) -> BestEpoch | None:
    """Return the best epoch of a training up to a checkpoint."""
    if state.best_epoch is None or state.best_loss is None:
        return None
    name = best_name(manifest, state.best_epoch)
    kept = name if (checkpoint.parent / name / MANIFEST).is_file() else None
    return BestEpoch(epoch=state.best_epoch, held_out_loss=state.best_loss, checkpoint=kept)


def _earlier_losses(checkpoint: Path, manifest: Manifest) -> dict[str, Losses]:
    """Return the losses by asset in the reports on this checkpoint's ancestors."""
    losses: dict[str, Losses] = {}
    artifacts = Artifacts.of_checkpoint(checkpoint)
    while (parent := manifest.parent) is not None:
        ancestor = artifacts.training / parent.training_id / CHECKPOINTS / parent.name
        try:
            manifest = read_manifest(ancestor)
        except CheckpointError as error:
            log.warning("%s is missing, so the phases before it are not compared (%s)", parent.name, error)
            break
        try:
            report = read_json(artifacts.report(ancestor) / REPORT)
        except (OSError, ValueError) as error:
            cause = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            again = f"hlx validate --checkpoint {ancestor}"
            log.warning("the report on %s %s, so its phase is not compared: `%s`", parent.name, cause, again)
            continue
        figures = report["figures"]
        then = Losses(float(figures["held_out_loss"]), float(figures["training_loss"]))
        losses.setdefault(CORPUS_OF_PHASE[manifest.phase], then)
    return losses


def _metrics(m: Measurements) -> Figures:
    """Return the metrics of every phase, and those of translation if the model translates."""
    held_out, training, baselines = m.predictions
    figures = Figures(
        sample=m.sample, held_out_loss=held_out.loss, training_loss=training.loss, perplexity=held_out.perplexity,
        unigram_baseline=baselines.unigram, bigram_baseline=baselines.bigram, copy_rate=held_out.copy_rate,
        held_out_tokens=held_out.tokens, training_tokens=baselines.train_tokens,
    )  # fmt: skip
    return _with_translation(figures, m) if m.writes == "translations" else figures


def _with_translation(figures: Figures, m: Measurements) -> TranslationFigures:
    rows, held_out, between, training = m.translations
    by_direction = translation.rates_by_direction([*held_out, *between])
    return TranslationFigures(
        **dict(figures),
        to_hlx={format: by_direction[ENGLISH, format] for format in Format},
        to_english={format: by_direction[format, ENGLISH] for format in Format},
        between={a: {b: by_direction[a, b] for b in Format if b is not a} for a in Format},
        between_formats=translation.rates(between),
        all_to_hlx=translation.rates(a for a in held_out if a.source == ENGLISH),
        all_to_english=translation.rates(a for a in held_out if a.target == ENGLISH),
        training_pairs=translation.rates(training),
        by_operation=translation.rates_by_operation(rows, held_out),
        by_length=translation.rates_by_length(held_out),
        by_source=[*m.by_source, *([evaluation_source(m.evaluation)] if m.evaluation else [])],
        held_out_values=m.held_out_values,
        standard_prompts=m.standard_answers,
        earlier_phases=m.earlier_phases,
    )


def _examples(m: Measurements) -> Sequence[Example]:
    """Return examples of what the model wrote, spread over all; of translations right and wrong ones."""
    if m.writes != "translations":
        return _spread(m.continuations if m.writes == "continuations" else m.completions, _SPREAD)
    answers = m.translations.held_out
    right, wrong = [a for a in answers if a.exact], [a for a in answers if not a.exact]
    return [answer for some in (right, wrong) for answer in _spread(some, _OF_EACH)[:_OF_EACH]]


def _spread(items: Sequence[T], number: int) -> list[T]:
    """Return about `number` of the items, at equal distances."""
    return list(items[:: max(1, len(items) // number)])
