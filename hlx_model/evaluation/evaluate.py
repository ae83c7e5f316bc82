"""Judge a checkpoint: one verdict and one report, as JSON for programs and as a page (and Markdown) for people.

A checkpoint is judged on the corpora that its manifest names. A report is made even of a bad model: that
is when people need it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest, read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import ENGLISH, store
from hlx_model.evaluation.compare import compare_reports, previous_report
from hlx_model.evaluation.gates import final as g
from hlx_model.evaluation.gates import registry
from hlx_model.evaluation.gates.milestones import copy_rate_gate, reported_loss_gate
from hlx_model.evaluation.grade import grade
from hlx_model.evaluation.losses import baselines, predict
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.evaluation.translation import (
    Answer,
    Row,
    conversions,
    rates,
    rates_by_format,
    rates_by_length,
    rates_by_operation,
    sentences_by_value,
    translate,
    worst_answers,
)
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import read_json, write_json, write_text
from hlx_model.language import Format
from hlx_model.layout import LOSS_PLOT, PAGE, REPORT, REPORT_MARKDOWN, Artifacts
from hlx_model.model.device import threads_for
from hlx_model.model.transformer import Transformer
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.reporting.models import REPORT_SCHEMA, Report
from hlx_model.reporting.pages import report_markdown, report_page
from hlx_model.reporting.plots import loss_svg
from hlx_model.runs.metrics import read_metrics
from hlx_model.verdicts import GateResult

log = logging.getLogger(__name__)

CPU_PARAMETERS = 8_000_000
"""The largest model that is asked everything on a CPU. A larger one is asked less, so that the report on a 100m takes
no more than two minutes on two cores, though its answers never end."""
SEED = 0


@dataclass(frozen=True)
class Sample:
    """How much is asked at most: of a large model on a CPU less, else what is given here."""

    texts: int = 512
    """Held-out and training texts of each corpus that losses are measured on."""
    prefixes: int = 128
    """Sentences that phase 1 completes."""
    rows: int = 128
    """Held-out rows asked in each format, and of translations in each direction."""
    conversions: int = 64
    """Held-out values asked in each of the 12 pairs of formats."""
    training: int = 256
    """Training pairs asked again."""

    @classmethod
    def of(cls, parameters: int, device: str) -> "Sample":
        """What a model of so many parameters is asked on that device (`cpu`, `cuda`)."""
        share = min(1.0, CPU_PARAMETERS / parameters) if device == "cpu" else 1.0
        most = cls()
        return cls(
            max(32, round(most.texts * share)),
            max(32, round(most.prefixes * share)),
            max(12, round(most.rows * share)),
            max(4, round(most.conversions * share)),
            max(32, round(most.training * share)),
        )


@dataclass(frozen=True)
class EvaluationResult:
    """A report that was written, and its verdict."""

    directory: Path
    report: Report
    verdict: Verdict

    @property
    def markdown(self) -> str:
        """The report for people."""
        return (self.directory / REPORT_MARKDOWN).read_text(encoding="utf-8")


def evaluate(checkpoint: Path, device: str = "cpu") -> EvaluationResult:
    """Ask a checkpoint what its phase is asked, and write report and verdict beside its training.

    Raises `ValueError` (`CheckpointError`, `CorpusError`) where the checkpoint or its corpora cannot be read.
    """
    manifest = verify_checkpoint(checkpoint)
    artifacts = Artifacts.of_checkpoint(checkpoint)
    corpora = {asset: store.load(artifacts.root / v.path) for asset, v in manifest.corpora.items()}
    own = CORPUS_OF_PHASE[manifest.phase]
    if own not in corpora:
        raise CheckpointError(f"{checkpoint}: its manifest names no {own} to judge it on")
    model = checkpoints.load_model(checkpoint, device)
    directory = artifacts.report(checkpoint)
    previous = previous_report(directory.parents[1], directory, manifest.phase)
    return evaluate_model(target_of(checkpoint, manifest), model, corpora, directory, previous)


def evaluate_model(
    subject: EvaluationTarget,
    model: Transformer,
    corpora: Mapping[str, Any],
    directory: Path,
    previous: Report | None = None,
) -> EvaluationResult:
    """Ask a model what the subject's phase is asked, on the rows of its corpora, and write report and verdict.

    Args:
        subject: what is on record of the model.
        model: on the device to ask it on.
        corpora: rows by asset, those of the subject's phase among them.
        directory: where the report is written.
        previous: the report of the same phase to compare with.
    """
    sample = Sample.of(model.architecture.parameters, model.output_projection.weight.device.type)
    examination = _Evaluator(subject, model, corpora, sample)
    with threads_for(model.architecture):
        gates = examination.gates()
    verdict = subject.verdict(gates)
    content = {
        "schema": REPORT_SCHEMA,
        **verdict.to_json(),
        **subject.to_json(),
        "grade": grade(subject.phase, examination.figures, gates, subject.curve, subject.stopped).to_json(),
        "comparison": None,
        "figures": examination.figures,
        "examples": examination.examples,
        "worst": examination.worst,
        "milestones": list(subject.milestones),
        "curve": list(subject.curve),
    }
    report = Report.from_json(content)
    if previous:
        report = report.model_copy(update={"comparison": compare_reports(previous, report)})
    write_json(directory / REPORT, report.to_json())
    write_text(directory / PAGE, report_page(report))
    write_text(directory / LOSS_PLOT, loss_svg(report))
    write_text(directory / REPORT_MARKDOWN, report_markdown(report))
    verdict.write(directory)
    return EvaluationResult(directory, report, verdict)


def target_of(checkpoint: Path, m: Manifest) -> EvaluationTarget:
    """A checkpoint of ours, with what its manifest, its state and the reports on its ancestors record."""
    state, verdict = read_state(checkpoint), Verdict.on(checkpoint, m, [])
    return EvaluationTarget(
        name=verdict.checkpoint,
        phase=m.phase,
        size=m.size,
        weights_sha256=m.weights_sha256,
        corpora=verdict.corpora,
        recorded=(g.training_completed(m.kind, m.epoch, m.epochs, m.stopped), g.lineage(m.ungated)),
        reported_loss=state["epoch_losses"][-1] if state["epoch_losses"] else None,
        earlier_losses=_earlier_losses(checkpoint, m),
        replay=m.settings["replay"],
        kind=m.kind,
        epoch=m.epoch,
        epochs=m.epochs,
        step=m.step,
        stopped=m.stopped,
        milestones=state["milestones"],
        curve=[row for row in read_metrics(checkpoint.absolute().parents[1]) if row["step"] <= m.step],
    )


class _Evaluator:
    """The questions of one phase put to one model; figures and examples gather as they are answered."""

    def __init__(
        self, subject: EvaluationTarget, model: Transformer, corpora: Mapping[str, Any], sample: Sample
    ) -> None:
        self.subject, self.model, self.corpora, self.sample = subject, model, corpora, sample
        self.thresholds = Thresholds()
        self.rows = corpora[CORPUS_OF_PHASE[subject.phase]]
        self.figures: dict[str, Any] = {"sample": asdict(sample)}
        self.examples: list[dict[str, Any]] = []
        self.worst: list[dict[str, Any]] = []
        self.unlearned: str | None = None
        splits = set(self.rows["split"].to_pylist())
        # A corpus in which one single value could be held out has a validation split alone.
        self.split = "test" if "test" in splits else "validation"

    def gates(self) -> list[GateResult]:
        """Every gate of the phase, in the order in which they are listed."""
        of_phase = {1: self._english, 2: self._hlx, 3: self._translation}[self.subject.phase]
        asked = [*self._language_model(), *of_phase()]
        for names, reason in self._excuses():
            asked = g.downgrade_to_warning(asked, names, reason)
        by_name = {gate.name: gate for gate in asked}
        return [by_name[name] for name in registry.GATES_OF_PHASE[self.subject.phase]]

    def _language_model(self) -> list[GateResult]:
        s, t = self.subject, self.thresholds
        train, held_out = store.model_texts(self.rows, "train"), store.model_texts(self.rows, self.split)
        unseen = predict(self.model, self._some(held_out))
        seen = predict(self.model, self._some(train))
        base = baselines(train, held_out)
        self.unlearned = g.unlearned_reason(seen, base, t)
        reported = GateResult("reported_loss", "warn", "no loss that the trainer reported is on record to compare with")
        if s.reported_loss is not None:
            reported = reported_loss_gate(seen, s.reported_loss, t)
        self.figures |= {
            "held_out_loss": unseen.loss,
            "training_loss": seen.loss,
            "perplexity": unseen.perplexity,
            "unigram_baseline": base.unigram,
            "bigram_baseline": base.bigram,
            "copy_rate": unseen.copy_rate,
            "held_out_tokens": unseen.tokens,
            "training_tokens": base.train_tokens,
        }
        return [
            *s.recorded,
            g.perplexity(unseen, seen, base, t),
            copy_rate_gate(unseen, t),
            reported,
        ]

    def _english(self) -> list[GateResult]:
        held_out = self._some(store.model_texts(self.rows, self.split))
        words = {word for text in store.model_texts(self.rows) for word in g.words_of(text)}
        gates, examples = g.free_running(self.model, held_out[: self.sample.prefixes], words, self.thresholds)
        self.examples = _spread(examples)
        return [*gates, g.diversity(self.model, self.rows.num_rows)]

    def _hlx(self) -> list[GateResult]:
        rows = self._held_out()
        asked = [r for f in Format for r in g.pick([r for r in rows if r["format"] == f], self.sample.rows, SEED)]
        gates, examples = g.completions(self.model, asked, self._lenient(rows), self.thresholds)
        self.examples = _spread(examples)
        return [*gates, g.diversity(self.model, self.rows.num_rows)]

    def _translation(self) -> list[GateResult]:
        rows, every = self._held_out(), self.rows.to_pylist()
        sentences, sample = sentences_by_value(every), self.sample
        asked: list[Row] = []
        for format in Format:
            for pair in ((ENGLISH, format), (format, ENGLISH)):
                asked += g.pick([r for r in rows if (r["source"], r["target"]) == pair], sample.rows, SEED)
        converted = [r for pair in conversions(rows).values() for r in g.pick(pair, sample.conversions, SEED)]
        trained = [r for r in every if r["split"] == "train" and ENGLISH in (r["source"], r["target"])]
        held_out = translate(self.model, asked, sentences)
        between = translate(self.model, converted, sentences)
        training = translate(self.model, g.pick(trained, sample.training, SEED), sentences)
        standard, answers = g.standard_prompts(self.model, self._lenient(rows), self.thresholds)
        self.figures |= {
            **rates_by_format([*held_out, *between]),
            "between_formats": rates(between),
            "all_to_hlx": rates(a for a in held_out if a.source == ENGLISH),
            "all_to_english": rates(a for a in held_out if a.target == ENGLISH),
            "training_pairs": rates(training),
            "by_operation": rates_by_operation(asked, held_out),
            "by_length": rates_by_length(held_out),
            "held_out_values": len({r["value_sha256"] for r in rows}),
            "standard_prompts": answers,
        }
        self.examples = _examples(held_out)
        self.worst = worst_answers([*held_out, *between])
        return [
            *g.translation(held_out, training, self._lenient(rows), self.thresholds),
            standard,
            self._not_forgotten(self._lenient(rows)),
        ]

    def _excuses(self) -> Iterator[tuple[Sequence[str], str | None]]:
        """What is not asked of this model for sure, and why. Of a file that records no training all is asked."""
        s, t = self.subject, self.thresholds
        if s.epoch is not None and s.step is not None and s.stopped is None:
            tokens = s.epoch * self.figures["training_tokens"]
            yield registry.LEARNED, g.short_training_reason(s.phase, s.step, tokens, t)
            yield registry.TRANSLATING, g.short_translation_reason(tokens, t)
        yield registry.WRITING, self.unlearned

    def _held_out(self) -> list[dict[str, Any]]:
        return [row for row in self.rows.to_pylist() if row["split"] == self.split]

    def _lenient(self, rows: Sequence[Mapping[str, Any]]) -> str | None:
        values = len({row["value_sha256"] for row in rows})
        return g.few_held_out_reason(values) if values < self.thresholds.min_held_out_values else None

    def _not_forgotten(self, lenient: str | None) -> GateResult:
        losses = {}
        for asset, then in self.subject.earlier_losses.items():
            texts = store.model_texts(self.corpora[asset], self.split)
            losses[asset] = predict(self.model, self._some(texts)).loss, then
        self.figures["earlier_phases"] = {a: {"now": now, "then": then} for a, (now, then) in losses.items()}
        if not losses:
            reason = "no report of an earlier phase is at hand to compare with"
            return GateResult("not_forgotten", "warn", reason)
        return g.not_forgotten(losses, self.subject.replay, self.thresholds, lenient=lenient)

    def _some(self, texts: Sequence[str]) -> list[str]:
        return g.pick(texts, self.sample.texts, SEED)


def _spread(examples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """About twelve, from all over."""
    return list(examples[:: max(1, len(examples) // 12)])


def _examples(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Six right answers and six wrong ones, from all over."""
    right, wrong = [a for a in answers if a.exact], [a for a in answers if not a.exact]
    return [a.to_json() for some in (right, wrong) for a in some[:: max(1, len(some) // 6)][:6]]


def _earlier_losses(checkpoint: Path, manifest: Manifest) -> dict[str, float]:
    """Held-out loss by asset as the reports on this checkpoint's ancestors give it."""
    losses: dict[str, float] = {}
    training = checkpoint.absolute().parents[2]
    while (parent := manifest.parent) is not None:
        ancestor = training / parent.training_id / "checkpoints" / parent.name
        try:
            manifest = read_manifest(ancestor)
        except CheckpointError as error:
            log.warning("what was before %s is not at hand (%s)", parent.name, error)
            break
        try:
            report = read_json(Artifacts.of_checkpoint(ancestor).report(ancestor) / REPORT)
        except (OSError, ValueError) as error:
            log.warning("the report on %s is not at hand (%s)", parent.name, error)
            continue
        losses.setdefault(CORPUS_OF_PHASE[manifest.phase], float(report["figures"]["held_out_loss"]))
    return losses
