"""Judge a checkpoint: one report and one verdict, as JSON, and the report as Markdown for people.

A checkpoint is judged on the corpora that its manifest names. A report is made even of a bad model: that
is when people need it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlx_model import checkpoint as checkpoints
from hlx_model.artifacts import Artifacts, named_specials, read_json, write_json, write_text
from hlx_model.checkpoint import CheckpointError, Manifest
from hlx_model.corpus import ENGLISH, store
from hlx_model.device import threads_for
from hlx_model.language import Format
from hlx_model.metrics import read_metrics
from hlx_model.quality import gates as g
from hlx_model.quality.figure import loss_curve
from hlx_model.quality.gate import Gate
from hlx_model.quality.language_model import baselines, predict
from hlx_model.quality.markdown import markdown
from hlx_model.quality.milestones import MilestoneThresholds, copy_rate_gate, reported_loss_gate
from hlx_model.quality.translation import Answer, score, sentences_by_value, translate
from hlx_model.quality.verdict import Verdict
from hlx_model.transformer import Transformer

log = logging.getLogger(__name__)

REPORT, MARKDOWN, FIGURE = "report.json", "report.md", "loss.svg"
TEXT_SAMPLE = 512
"""Held-out and training texts measured for losses."""
ROW_SAMPLE = 128
"""Held-out rows asked in each format and direction."""
TRAINING_SAMPLE = 256
"""Training pairs asked again."""
SEED = 0


@dataclass(frozen=True)
class Judgement:
    """A report that was written, and its verdict."""

    directory: Path
    report: dict[str, Any]
    verdict: Verdict

    @property
    def markdown(self) -> str:
        """The report for people."""
        return (self.directory / MARKDOWN).read_text(encoding="utf-8")


def judge(checkpoint: Path, device: str = "cpu") -> Judgement:
    """Ask a checkpoint what its phase is asked, and write report and verdict beside its training.

    Raises `ValueError` (`CheckpointError`, `CorpusError`) where the checkpoint or its corpora cannot be read.
    """
    manifest = checkpoints.verify(checkpoint)
    artifacts = Artifacts.of_checkpoint(checkpoint)
    corpora = {asset: store.load(artifacts.root / v.path) for asset, v in manifest.corpora.items()}
    own = store.CORPUS_OF_PHASE[manifest.phase]
    if own not in corpora:
        raise CheckpointError(f"{checkpoint}: its manifest names no {own} to judge it on")
    model = checkpoints.load_model(checkpoint, device)
    examination = _Examination(manifest, checkpoint, model, corpora)
    with threads_for(manifest.architecture):
        gates = examination.gates()
    verdict = Verdict.on(checkpoint, manifest, gates)
    curve = [row for row in read_metrics(checkpoint.absolute().parents[1]) if row["step"] <= manifest.step]
    content = {
        **verdict.to_json(),
        "phase": manifest.phase,
        "size": manifest.size,
        "epoch": manifest.epoch,
        "epochs": manifest.epochs,
        "step": manifest.step,
        "kind": manifest.kind,
        "stopped": manifest.stopped,
        "figures": examination.figures,
        "examples": examination.examples,
        "milestones": checkpoints.read_state(checkpoint)["milestones"],
        "curve": curve,
    }
    report: dict[str, Any] = named_specials(content)
    directory = artifacts.report(checkpoint)
    write_json(directory / REPORT, report)
    figure = loss_curve(curve)
    write_text(directory / FIGURE, figure)
    write_text(directory / MARKDOWN, markdown(report, figure))
    verdict.write(directory)
    return Judgement(directory, report, verdict)


class _Examination:
    """The questions of one phase put to one model; figures and examples gather as they are answered."""

    def __init__(self, manifest: Manifest, checkpoint: Path, model: Transformer, corpora: Mapping[str, Any]) -> None:
        self.manifest, self.checkpoint, self.model, self.corpora = manifest, checkpoint, model, corpora
        self.thresholds = g.Thresholds()
        self.rows = corpora[store.CORPUS_OF_PHASE[manifest.phase]]
        self.figures: dict[str, Any] = {}
        self.examples: list[dict[str, Any]] = []
        splits = set(self.rows["split"].to_pylist())
        # A corpus in which one single value could be held out has a validation split alone.
        self.split = "test" if "test" in splits else "validation"

    def gates(self) -> list[Gate]:
        """Every gate of the phase, in the order in which they are listed."""
        of_phase = {1: self._english, 2: self._hlx, 3: self._translation}[self.manifest.phase]
        asked = [*self._language_model(), *of_phase()]
        by_name = {gate.name: gate for gate in asked}
        return [by_name[name] for name in g.GATES_OF_PHASE[self.manifest.phase]]

    def _language_model(self) -> list[Gate]:
        m, t, milestone = self.manifest, self.thresholds, MilestoneThresholds()
        train, held_out = store.model_texts(self.rows, "train"), store.model_texts(self.rows, self.split)
        unseen = predict(self.model, _some(held_out))
        seen = predict(self.model, _some(train))
        base = baselines(train, held_out)
        losses = checkpoints.read_state(self.checkpoint)["epoch_losses"]
        reported = losses[-1] if losses else seen.loss
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
            g.training_completed(m.kind, m.epoch, m.epochs, m.stopped),
            g.perplexity(unseen, base, t),
            copy_rate_gate(unseen, milestone),
            reported_loss_gate(seen, reported, milestone),
        ]

    def _english(self) -> list[Gate]:
        held_out = _some(store.model_texts(self.rows, self.split))
        words = {word for text in store.model_texts(self.rows) for word in g.words_of(text)}
        return [
            *g.free_running(self.model, held_out[:ROW_SAMPLE], words, self.thresholds),
            g.diversity(self.model, self.rows.num_rows, self.thresholds),
        ]

    def _hlx(self) -> list[Gate]:
        rows = self._held_out()
        asked = [r for f in Format for r in g.pick([r for r in rows if r["format"] == f], ROW_SAMPLE, SEED)]
        gates, examples = g.completions(self.model, asked, self._lenient(rows), self.thresholds)
        self.examples = examples[:: max(1, len(examples) // 12)]
        return [*gates, g.diversity(self.model, self.rows.num_rows, self.thresholds)]

    def _translation(self) -> list[Gate]:
        rows, every = self._held_out(), self.rows.to_pylist()
        sentences = sentences_by_value(every)
        asked: list[Mapping[str, Any]] = []
        for format in Format:
            asked += g.pick([r for r in rows if (r["target"], r["source"]) == (format, ENGLISH)], ROW_SAMPLE, SEED)
            asked += g.pick([r for r in rows if (r["source"], r["target"]) == (format, ENGLISH)], ROW_SAMPLE, SEED)
        asked += g.pick([r for r in rows if ENGLISH not in (r["source"], r["target"])], ROW_SAMPLE, SEED)
        held_out = translate(self.model, asked, sentences)
        trained = [r for r in every if r["split"] == "train" and ENGLISH in (r["source"], r["target"])]
        training = translate(self.model, g.pick(trained, TRAINING_SAMPLE, SEED), sentences)
        standard, answers = g.standard_prompts(self.model, self._lenient(rows), self.thresholds)
        self.figures |= _translation_figures(held_out, training)
        self.figures["held_out_values"] = len({r["value_sha256"] for r in rows})
        wrong = [a for a in held_out if not a.exact]
        right = [a for a in held_out if a.exact]
        self.examples = [
            a.to_json() for a in (*right[:: max(1, len(right) // 6)][:6], *wrong[:: max(1, len(wrong) // 6)][:6])
        ]
        self.figures["standard_prompts"] = answers
        return [
            *g.translation(held_out, training, self._lenient(rows), self.thresholds),
            standard,
            self._not_forgotten(self._lenient(rows)),
        ]

    def _held_out(self) -> list[dict[str, Any]]:
        return [row for row in self.rows.to_pylist() if row["split"] == self.split]

    def _lenient(self, rows: Sequence[Mapping[str, Any]]) -> str | None:
        values = len({row["value_sha256"] for row in rows})
        return g.few_held_out(values) if values < self.thresholds.few else None

    def _not_forgotten(self, lenient: str | None) -> Gate:
        losses = {}
        for asset, then in _earlier_losses(self.checkpoint, self.manifest).items():
            texts = store.model_texts(self.corpora[asset], self.split)
            losses[asset] = predict(self.model, _some(texts)).loss, then
        self.figures["earlier_phases"] = {a: {"now": now, "then": then} for a, (now, then) in losses.items()}
        if not losses:
            reason = "no report of an earlier phase is at hand to compare with"
            return Gate("not_forgotten", "warn", reason)
        return g.not_forgotten(losses, self.manifest.settings["replay"], self.thresholds, lenient=lenient)


def _some(texts: Sequence[str]) -> list[str]:
    return g.pick(texts, TEXT_SAMPLE, SEED)


def _earlier_losses(checkpoint: Path, manifest: Manifest) -> dict[str, float]:
    """Held-out loss by asset as the reports on this checkpoint's ancestors give it."""
    losses: dict[str, float] = {}
    training = checkpoint.absolute().parents[2]
    while (parent := manifest.parent) is not None:
        ancestor = training / parent.training_id / "checkpoints" / parent.name
        try:
            manifest = checkpoints.read_manifest(ancestor)
            report = read_json(Artifacts.of_checkpoint(ancestor).report(ancestor) / REPORT)
        except (CheckpointError, OSError, ValueError) as error:
            log.warning("the report on %s is not at hand (%s)", parent.name, error)
            break
        losses.setdefault(store.CORPUS_OF_PHASE[manifest.phase], float(report["figures"]["held_out_loss"]))
    return losses


def _translation_figures(held_out: Sequence[Answer], training: Sequence[Answer]) -> dict[str, Any]:
    def rates(answers: Sequence[Answer]) -> dict[str, Any]:
        s = score(answers)
        n = max(1, s.samples)
        return {
            "samples": s.samples,
            "exact_match": s.exact / n,
            "value_match": s.same_value / n,
            "parse_rate": s.parses / n,
        }

    return {
        "to_hlx": {str(f): rates([a for a in held_out if (a.target, a.source) == (f, ENGLISH)]) for f in Format},
        "to_english": {str(f): rates([a for a in held_out if (a.source, a.target) == (f, ENGLISH)]) for f in Format},
        "between_formats": rates([a for a in held_out if ENGLISH not in (a.source, a.target)]),
        "all_to_hlx": rates([a for a in held_out if a.source == ENGLISH]),
        "all_to_english": rates([a for a in held_out if a.target == ENGLISH]),
        "training_pairs": rates(training),
    }
