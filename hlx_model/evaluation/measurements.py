"""What gates are evaluated on: each measurement of a model is made once, when a gate or the report first reads it."""

import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Literal, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.composer.spelling import folded
from hlx_model.corpus import ENGLISH, tables
from hlx_model.evaluation import translation, writing
from hlx_model.evaluation.answers import evaluate_documents
from hlx_model.evaluation.detectors import Outputs
from hlx_model.evaluation.documents import NO_EVALUATION, Evaluation, same_sentence
from hlx_model.evaluation.fitness import MIN_HELD_OUT_SENTENCES, MIN_HELD_OUT_VALUES, Requirements
from hlx_model.evaluation.intervals import expected_distinct
from hlx_model.evaluation.losses import baselines, predict
from hlx_model.evaluation.prediction import Baselines, Prediction
from hlx_model.evaluation.rows import Cells, Rows
from hlx_model.evaluation.sources import rates_by_source
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.evaluation.translation import PairRow, translate
from hlx_model.evaluation.writing import STANDARD_VALUES
from hlx_model.language import Format
from hlx_model.model.transformer import Transformer
from hlx_model.phases import PHASES
from hlx_model.reporting.models import (
    Completion,
    Continuation,
    EvaluationFigures,
    RetentionMetrics,
    SampleSizes,
    SourceRates,
    StandardAnswer,
    Translation,
)

T = TypeVar("T")
Row = TypeVar("Row", writing.HlxRow, PairRow)

CPU_PARAMETERS = 8_000_000
"""The largest model that is measured in full on a CPU. Larger ones are measured on fewer samples, so that the report on
a 100m model takes at most two minutes on two cores, even if its answers never end."""
SEED = 0

Need = Literal[
    "record", "fitness", "predictions", "continuations", "completions", "translations", "answers", "evaluation",
    "standard_answers", "outputs", "sampled", "earlier_phases",
]  # fmt: skip
"""A measurement that a gate needs: an attribute of `Measurements`. `continuations`, `completions` and
`translations` exist in the phases that write them; `answers`, `evaluation`, `standard_answers` and `earlier_phases`
with `translations`; the others in all phases."""


WHOLE_SAMPLE = SampleSizes(texts=512, prefixes=128, rows=128, conversions=64, training=256)
SMALLEST_SAMPLE = SampleSizes(texts=32, prefixes=32, rows=12, conversions=4, training=32)


def sample_for(parameters: int, device: str) -> SampleSizes:
    """Return how many samples to measure of a model with that many parameters on a device (`cpu`, `cuda`)."""
    share = min(1.0, CPU_PARAMETERS / parameters) if device == "cpu" else 1.0
    return SampleSizes(**{name: max(least, round(dict(WHOLE_SAMPLE)[name] * share)) for name, least in SMALLEST_SAMPLE})


class Predictions(NamedTuple):
    """How well the model predicts the corpus of its phase."""

    held_out: Prediction
    training: Prediction
    baselines: Baselines


class Translations(NamedTuple):
    """Answers of a model that translates."""

    rows: list[PairRow]
    """The test rows from and into English."""
    held_out: list[Translation]
    """The answers to `rows`."""
    between: list[Translation]
    """Between two formats, on test values."""
    training: list[Translation]
    """To pairs that the model was trained on."""


class Sampled(NamedTuple):
    """Texts that the model sampled."""

    texts: Mapping[float, Sequence[str]]
    """By temperature."""
    expected: int
    """How many of them, at one temperature, would differ if they were of the corpus."""


class Measurements:
    """The measurements of one model, for the gates of its phase and for its report.

    A model writes after beginnings of test text; after beginnings of training text, if its corpus can only be
    learned by heart.
    """

    def __init__(
        self, record: EvaluationTarget, model: Transformer, corpora: Mapping[str, pa.Table],
        sample: SampleSizes | None = None, evaluation: Evaluation = NO_EVALUATION,
        requirements: Requirements | None = None,
    ) -> None:  # fmt: skip
        """Keep what the measurements are made from.

        Args:
            record: what is known of the model.
            model: on the device to measure it on.
            corpora: rows by asset, those of the phase's corpus among them.
            sample: how much to measure; by default what suits model and device.
            evaluation: evaluation documents, or why there are none.
            requirements: the limits of the gates; by default those of `HLX_PROFILE`.
        """
        self.record, self._model, self._corpora, self._documents = record, model, corpora, evaluation.documents
        self.evaluation_note = evaluation.note
        """Why there is no evaluation, or why it is not on the newest documents; None otherwise."""
        self.sample = sample or sample_for(model.architecture.parameters, model.output_projection.weight.device.type)
        phase = PHASES[record.phase]
        self.writes, self._rows = phase.writes, corpora[phase.corpus]
        # A corpus of which a single value could be held out has no test split: then validation takes its place.
        self._split = "test" if "test" in self._rows["split"].unique().to_pylist() else "validation"
        by_heart = few_held_out(self._rows, self._split)
        self.fitness = (requirements or Requirements()).fitness(by_heart=by_heart)
        self._asked = "train" if by_heart else self._split

    @cached_property
    def held_out_values(self) -> int:
        """Return the number of distinct test values. A corpus of sentences has none."""
        return len(self._rows.filter(pc.field("split") == self._split)["value_sha256"].unique())

    @cached_property
    def predictions(self) -> Predictions:
        """Measure losses and copy rates on test and on training text, and what counting reaches."""
        train, held_out = self._texts("train"), self._texts(self._split)
        of_held_out, of_train = (predict(self._model, self._sampled(texts)) for texts in (held_out, train))
        return Predictions(of_held_out, of_train, baselines(train, held_out))

    @cached_property
    def continuations(self) -> list[Continuation]:
        """Let the model continue sentences and, unless it learned by heart, the standard English prompts."""
        sentences = self._sampled(self._texts(self._asked))
        words = {word for text in self._texts() for word in writing.words_of(text)}
        standard = () if self.fitness.by_heart else tuple(STANDARD_VALUES)
        return writing.continuations(self._model, sentences[: self.sample.prefixes], words, standard)

    @cached_property
    def completions(self) -> list[Completion]:
        """Let the model complete lines in each format."""
        asked = self._rows.filter(pc.field("split") == self._asked)
        rows, each = Rows(asked, writing.HlxRow), enumerate(Format, start=SEED)
        chosen = [row for seed, form in each for row in pick(rows.where(format=form), self.sample.rows, seed)]
        return writing.completions(self._model, chosen)

    @cached_property
    def translations(self) -> Translations:
        """Let the model translate test rows, test values between all formats, and training pairs."""
        sample = self.sample
        held_out = self._pairs.where(split=self._split)
        trained = self._pairs.where(split="train").keeping(_with_english)
        rows: list[PairRow] = []
        # Of other entries for each pair: 512 answers to the same 128 say little more than 128.
        for seed, (format, into_hlx) in enumerate(product(Format, (True, False)), start=SEED):
            pair = (ENGLISH, format) if into_hlx else (format, ENGLISH)
            rows += pick(held_out.where(source=pair[0], target=pair[1]), sample.rows, seed)
        by_pair = translation.conversions(held_out).values()
        converted = [row for rows_of_pair in by_pair for row in pick(rows_of_pair, sample.conversions, SEED)]
        prompts = (rows, converted, pick(trained, sample.training, SEED))
        sentences = self._sentences_of([row for some in prompts for row in some])
        held_out_answers, between, training = (translate(self._model, some, sentences) for some in prompts)
        return Translations(rows, held_out_answers, between, training)

    @cached_property
    def _pairs(self) -> Rows[PairRow]:
        return Rows(self._rows, PairRow)

    def _sentences_of(self, rows: Sequence[PairRow]) -> dict[str, set[str]]:
        """Return, by the hash of a value, every sentence that the corpus has for the values of these rows."""
        values = {row.value_sha256 for row in rows}
        return translation.sentences_by_value(self._pairs.where(target=ENGLISH, value_sha256=values))

    def _texts(self, *splits: str) -> Cells:
        """Return the texts of the phase's corpus: of these splits, or of all."""
        return Cells(tables.learned_texts(self._rows, *splits))

    @property
    def answers(self) -> list[Translation]:
        """Return the answers from and into English that the model is judged by."""
        return self.translations.training if self.fitness.by_heart else self.translations.held_out

    @cached_property
    def by_source(self) -> list[SourceRates]:
        """Measure the translations of composed entries and of each document.

        A small document beside many composed entries is hardly in the sample: of each, more rows are translated.
        """
        composed, pairs = self.record.composed, self._pairs.keeping(_with_english)
        others = pa.array(sorted(composed), pa.string())
        pairs = pairs.keeping(lambda table: pc.invert(pc.is_in(table["document"], others)))
        names = pairs.column("document").unique().to_pylist()
        share = 2 * max(1, len(names))
        known = dict(zip(self.translations.rows, self.translations.held_out, strict=True))
        more, trained = list[PairRow](), list[PairRow]()
        for name in names:
            rows = pairs.where(document=name)
            for format in Format:
                for source, target in ((ENGLISH, format), (format, ENGLISH)):
                    of_pair = rows.where(split=self._split, source=source, target=target)
                    unknown = of_pair.without(known, "prompt")
                    wanted = max(1, self.sample.rows // share) - (len(of_pair) - len(unknown))
                    more += pick(unknown, max(0, wanted), SEED)
            learned = rows.where(split="train", source=ENGLISH)
            trained += pick(learned, max(1, self.sample.training // share), SEED)
        sentences = self._sentences_of([*more, *trained])
        held_out = [*known.items(), *zip(more, translate(self._model, more, sentences), strict=True)]
        return rates_by_source(
            held_out, list(zip(trained, translate(self._model, trained, sentences), strict=True)), composed
        )

    @cached_property
    def evaluation(self) -> EvaluationFigures | None:
        """Let a model that translates answer the evaluation documents; None if there are none."""
        if self._documents is None or self.writes != "translations":
            return None
        trained = self._pairs.where(split="train", target=ENGLISH)
        return evaluate_documents(self._model, self._documents, self._sampled(self._documents.questions), trained)

    @cached_property
    def standard_answers(self) -> list[StandardAnswer]:
        """Let the model answer the standard prompts in each format."""
        return writing.standard_answers(self._model, {text: self._values_of(text) for text in STANDARD_VALUES})

    def _values_of(self, sentence: str) -> set[str]:
        """Return the values of a sentence, in HLXL: those of the corpus, of evaluation documents, of composed entries.

        If the corpus can only be learned by heart, only training defines values.
        """
        by_heart = self.fitness.by_heart
        known = self._pairs.where(split="train") if by_heart else self._pairs
        entries = self._values_said.get(folded(sentence), set())
        values = {row.answer for row in known.where(target=Format.HLXL, value_sha256=entries)}
        if by_heart:
            return values
        for question in self._documents.questions if self._documents else ():
            if same_sentence(question.english, sentence):
                values.update(question.right[Format.HLXL])
        return values.union(STANDARD_VALUES[sentence] if self.record.composed else ())

    @cached_property
    def _values_said(self) -> dict[str, set[str]]:
        """Return the hashes of the values of each standard sentence, by the folded sentence; read in one pass."""
        found: dict[str, set[str]] = {folded(sentence): set() for sentence in STANDARD_VALUES}
        known = self._pairs.where(split="train") if self.fitness.by_heart else self._pairs
        for row in known.where(target=ENGLISH):
            if (values := found.get(folded(row.answer))) is not None:
                values.add(row.value_sha256)
        return found

    @cached_property
    def outputs(self) -> Outputs:
        """Run the text detectors on what the model wrote freely in this phase."""
        if self.writes == "continuations":
            return writing.continued_outputs(self.continuations)
        if self.writes == "completions":
            return writing.completed_outputs(self.completions)
        return writing.answered_outputs(self.answers)

    @cached_property
    def sampled(self) -> Sampled:
        """Let the model sample texts from an empty prompt, or answers to prompts with different right answers."""
        if self.writes != "translations":
            texts = writing.sampled_texts(self._model)
            return Sampled({1.0: texts}, expected_distinct(len(texts), self._rows.num_rows))
        different = {answer.expected: answer for answer in self.answers if answer.source == ENGLISH}
        asked = list(different.values())[: self.sample.prefixes]
        return Sampled(writing.sampled_answers(self._model, asked), max(1, len(asked)))

    @cached_property
    def earlier_phases(self) -> dict[str, RetentionMetrics]:
        """Measure the losses on the corpora of the earlier phases that have a report, by asset, in nats."""
        changes = {}
        for asset, then in self.record.earlier_losses.items():
            rows = self._corpora[asset]
            by_heart = few_held_out(rows, self._split)
            texts = Cells(tables.learned_texts(rows, "train" if by_heart else self._split))
            now = predict(self._model, self._sampled(texts)).loss
            changes[asset] = RetentionMetrics(now=now, then=then.training if by_heart else then.held_out)
        return changes

    def _sampled(self, items: Sequence[T]) -> list[T]:
        return pick(items, self.sample.texts, SEED)


def _with_english(rows: pa.Table) -> pa.ChunkedArray:
    """Return which rows of the paired corpus translate from or into English."""
    return pc.or_(pc.equal(rows["source"], ENGLISH), pc.equal(rows["target"], ENGLISH))


def few_held_out(rows: pa.Table, split: str) -> bool:
    """Return whether a split holds out too little to show generalization, so that a corpus is learned by heart."""
    least = {"value_sha256": MIN_HELD_OUT_VALUES, "english": MIN_HELD_OUT_SENTENCES}
    column = next(name for name in least if name in rows.column_names)
    return len(rows.filter(pc.field("split") == split)[column].unique()) < least[column]


def table_rows(table: pa.Table, row: type[Row]) -> list[Row]:
    """Return the rows of a table as named tuples of their fields' columns."""
    columns = (table[name].to_pylist() for name in row._fields)
    return [row(*cells) for cells in zip(*columns, strict=True)]


def pick(rows: Sequence[T], samples: int, seed: int) -> list[T]:
    """Return at most `samples` of the rows, chosen by the seed, in their order."""
    chosen = random.Random(seed).sample(range(len(rows)), min(samples, len(rows)))
    return [rows[i] for i in sorted(chosen)]
