"""What gates are evaluated on: each measurement of a model is made once, when a gate or the report first reads it."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import pyarrow as pa

from hlx_model.corpus import ENGLISH, store
from hlx_model.evaluation import translation, writing
from hlx_model.evaluation.prediction import Baselines, Prediction
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.evaluation.translation import Answer, PairRow
from hlx_model.language import Format
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.reporting.models import Completion, Continuation, RetentionMetrics, StandardAnswer

# PyTorch takes longer to load than a verdict to read: it is imported where a model is used.
if TYPE_CHECKING:
    from hlx_model.model.transformer import Transformer

T = TypeVar("T")

CPU_PARAMETERS = 8_000_000
"""The largest model that is measured in full on a CPU. Larger ones are measured on fewer samples, so that the report on
a 100m model takes at most two minutes on two cores, even if its answers never end."""
SEED = 0

Need = Literal[
    "record", "predictions", "continuations", "completions", "translations", "standard_answers", "outputs",
    "sampled_texts", "earlier_phases",
]  # fmt: skip
"""A measurement that a gate needs: an attribute of `Measurements`. `continuations` exist in phase 1, `completions` in
phase 2, `translations`, `standard_answers` and `earlier_phases` in phase 3, the others in all."""


@dataclass(frozen=True)
class Sample:
    """How many samples are measured at most."""

    texts: int = 512
    """Held-out and training texts of each corpus, for losses."""
    prefixes: int = 128
    """Sentences that phase 1 continues."""
    rows: int = 128
    """Held-out rows in each format; in phase 3 in each format and direction."""
    conversions: int = 64
    """Held-out values in each of the 12 pairs of formats."""
    training: int = 256
    """Training pairs."""

    @classmethod
    def for_model(cls, parameters: int, device: str) -> "Sample":
        """Return the sample for a model with that many parameters on a device (`cpu`, `cuda`)."""
        share = min(1.0, CPU_PARAMETERS / parameters) if device == "cpu" else 1.0
        whole = cls()
        return cls(
            max(32, round(whole.texts * share)),
            max(32, round(whole.prefixes * share)),
            max(12, round(whole.rows * share)),
            max(4, round(whole.conversions * share)),
            max(32, round(whole.training * share)),
        )


class Predictions(NamedTuple):
    """How well the model predicts the corpus of its phase."""

    held_out: Prediction
    training: Prediction
    baselines: Baselines


class Translations(NamedTuple):
    """Answers of phase 3."""

    rows: list[PairRow]
    """The held-out rows from and into English."""
    held_out: list[Answer]
    """The answers to `rows`."""
    between: list[Answer]
    """Between two formats, on held-out values."""
    training: list[Answer]
    """To pairs that the model was trained on."""


class Measurements:
    """The measurements of one model, for the gates of its phase and for its report."""

    def __init__(
        self,
        record: EvaluationTarget,
        model: "Transformer",
        corpora: Mapping[str, pa.Table],
        thresholds: Thresholds,
        sample: Sample | None = None,
    ) -> None:
        """Keep what the measurements are made from.

        Args:
            record: what is known of the model.
            model: on the device to measure it on.
            corpora: rows by asset, those of the phase's corpus among them.
            thresholds: the limits of the gates.
            sample: how much to measure; by default what suits model and device.
        """
        device = model.output_projection.weight.device.type
        self.record, self.thresholds, self._model, self._corpora = record, thresholds, model, corpora
        self.sample = sample or Sample.for_model(model.architecture.parameters, device)
        self._rows = corpora[CORPUS_OF_PHASE[record.phase]]
        splits = set(self._rows["split"].to_pylist())
        # A corpus of which a single value could be held out has a validation split alone.
        self._split = "test" if "test" in splits else "validation"

    @property
    def corpus_texts(self) -> int:
        """Return the number of texts in the phase's corpus."""
        count: int = self._rows.num_rows
        return count

    @cached_property
    def held_out_values(self) -> int | None:
        """Return the number of distinct held-out values; None for a corpus of sentences, which has no values."""
        if "value_sha256" not in self._rows.column_names:
            return None
        values, splits = (self._rows[name].to_pylist() for name in ("value_sha256", "split"))
        return len({value for value, split in zip(values, splits, strict=True) if split == self._split})

    @cached_property
    def predictions(self) -> Predictions:
        """Measure losses and copy rates on held-out and on training text, and what counting reaches."""
        from hlx_model.evaluation.losses import baselines, predict

        train, held_out = store.model_texts(self._rows, "train"), store.model_texts(self._rows, self._split)
        return Predictions(
            predict(self._model, self._texts(held_out)),
            predict(self._model, self._texts(train)),
            baselines(train, held_out),
        )

    @cached_property
    def continuations(self) -> list[Continuation]:
        """Let the model continue held-out sentences and the standard English prompts."""
        held_out = self._texts(store.model_texts(self._rows, self._split))
        words = {word for text in store.model_texts(self._rows) for word in writing.words_of(text)}
        return writing.continuations(self._model, held_out[: self.sample.prefixes], words)

    @cached_property
    def completions(self) -> list[Completion]:
        """Let the model complete held-out lines in each format."""
        rows = [row for row in writing.hlx_rows(self._rows) if row.split == self._split]
        chosen = [r for f in Format for r in pick([r for r in rows if r.format == f], self.sample.rows, SEED)]
        return writing.completions(self._model, chosen)

    @cached_property
    def translations(self) -> Translations:
        """Let the model translate held-out rows, held-out values between all formats, and training pairs."""
        every = translation.pair_rows(self._rows)
        sentences, sample = translation.sentences_by_value(every), self.sample
        held_out = [row for row in every if row.split == self._split]
        trained = [row for row in every if row.split == "train" and ENGLISH in (row.source, row.target)]
        rows: list[PairRow] = []
        for format in Format:
            for pair in ((ENGLISH, format), (format, ENGLISH)):
                rows += pick([row for row in held_out if (row.source, row.target) == pair], sample.rows, SEED)
        by_pair = translation.conversions(held_out).values()
        converted = [row for rows_of_pair in by_pair for row in pick(rows_of_pair, sample.conversions, SEED)]
        return Translations(
            rows,
            translation.translate(self._model, rows, sentences),
            translation.translate(self._model, converted, sentences),
            translation.translate(self._model, pick(trained, sample.training, SEED), sentences),
        )

    @cached_property
    def standard_answers(self) -> list[StandardAnswer]:
        """Let the model answer the standard prompts in each format."""
        return writing.standard_answers(self._model)

    @cached_property
    def outputs(self) -> writing.Outputs:
        """Run the text detectors on what the model wrote freely in this phase."""
        return _OUTPUTS[self.record.phase](self)

    @cached_property
    def sampled_texts(self) -> list[str]:
        """Let the model sample texts from an empty prompt."""
        return writing.sampled_texts(self._model)

    @cached_property
    def earlier_phases(self) -> dict[str, RetentionMetrics]:
        """Measure the held-out losses on the corpora of the earlier phases that have a report, by asset, in nats."""
        from hlx_model.evaluation.losses import predict

        changes = {}
        for asset, then in self.record.earlier_losses.items():
            texts = store.model_texts(self._corpora[asset], self._split)
            changes[asset] = RetentionMetrics(now=predict(self._model, self._texts(texts)).loss, then=then)
        return changes

    def _texts(self, texts: Sequence[str]) -> list[str]:
        return pick(texts, self.sample.texts, SEED)


_OUTPUTS: Mapping[int, Callable[[Measurements], writing.Outputs]] = {
    1: lambda m: writing.continued_outputs(m.continuations),
    2: lambda m: writing.completed_outputs(m.completions),
    3: lambda m: writing.answered_outputs(m.translations.held_out),
}


def pick(rows: Sequence[T], samples: int, seed: int) -> list[T]:
    """Return at most `samples` of the rows, chosen by the seed, in their order."""
    if len(rows) <= samples:
        return list(rows)
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), samples))]
