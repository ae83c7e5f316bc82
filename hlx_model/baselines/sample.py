"""Draw the rows that all models translate, and the training examples that the models of others are given.

Rows are test rows of the paired corpus and sentences of the evaluation documents, each into every format. They are
drawn by a fixed seed, so that a second comparison asks the same questions.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus import ENGLISH, prompt
from hlx_model.corpus.prompts import given, tokens_of
from hlx_model.evaluation.answers import novelty_in
from hlx_model.evaluation.documents import EvaluationDocuments
from hlx_model.evaluation.measurements import SEED, pick, table_rows
from hlx_model.evaluation.translation import PairRow
from hlx_model.files import digest_of
from hlx_model.language import Format, convert
from hlx_model.model.sizes import POSITIONS
from hlx_model.reporting.baselines import RowSource

EXAMPLES = 8
"""Training examples that a model of others is given."""
_CANDIDATES = 2000
"""Training rows that the examples are chosen from."""


@dataclass(frozen=True)
class SampleRow:
    """A sentence to translate into one format."""

    source: RowSource
    document: str
    english: str
    format: Format
    right: tuple[str, ...]
    """Canonical texts, the first one in the corpus first."""

    @property
    def id(self) -> str:
        """Return a name that is the same in every sample: of the source, the sentence and the format."""
        return f"{self.source}/{digest_of([self.source, self.document, self.english])[:12]}/{self.format}"

    @property
    def prompt(self) -> str:
        """Return the prompt of our model."""
        return prompt(self.format, self.english)


@dataclass(frozen=True)
class Example:
    """A training example: a sentence and its value, in HLXL."""

    english: str
    hlxl: str

    def text(self, format: Format) -> str:
        """Return the value in a format."""
        return convert(self.hlxl, Format.HLXL, format)


@dataclass(frozen=True)
class Sample:
    """What all models are measured on."""

    rows: tuple[SampleRow, ...]
    examples: tuple[Example, ...]


def draw_sample(paired: pa.Table, documents: EvaluationDocuments | None, sentences: int) -> Sample:
    """Return up to `sentences` sentences of the test rows and as many of the evaluation, each in every format.

    Args:
        paired: the rows of the paired corpus, with their splits.
        documents: evaluation documents; sentences that are in training are left out.
        sentences: of each source, 1 or more.

    Raises:
        ValueError: nothing is held out, or there is no training row to take examples from.
    """
    hlxl = paired.filter((pc.field("source") == ENGLISH) & (pc.field("target") == str(Format.HLXL)))
    # A corpus of which a single value could be held out has no test split: then validation takes its place.
    split = "test" if "test" in hlxl["split"].unique().to_pylist() else "validation"
    held_out, train = (table_rows(hlxl.filter(pc.field("split") == name), PairRow) for name in (split, "train"))
    rows = _fitting(_held_out(row) for row in held_out)
    if not rows or not train:
        raise ValueError("the corpus holds out no sentence with a value: there is nothing to compare models on")
    drawn = pick(rows, sentences, SEED)
    if documents is not None:
        into_english = paired.filter((pc.field("target") == ENGLISH) & (pc.field("split") == "train"))
        novelty = novelty_in(table_rows(into_english, PairRow))
        new = (question for question in documents.questions if novelty(question) != "seen sentence")
        asked = _fitting(
            [SampleRow("evaluation", q.document, q.english, format, q.right[format]) for format in Format] for q in new
        )
        drawn += pick(asked, sentences, SEED)
    return Sample(tuple(row for of_sentence in drawn for row in of_sentence), _examples(train))


def _held_out(row: PairRow) -> list[SampleRow]:
    english = given(row.prompt)
    return [
        SampleRow("held-out", row.document, english, format, (convert(row.answer, Format.HLXL, format),))
        for format in Format
    ]


def _fitting(sentences: Iterable[list[SampleRow]]) -> list[list[SampleRow]]:
    """Return the sentences that fit into our model's positions in every format, each once."""
    fit = [
        rows for rows in sentences if all(tokens_of(row.prompt, max(row.right, key=len)) <= POSITIONS for row in rows)
    ]
    return list({rows[0].id: rows for rows in fit}.values())


def _examples(train: Sequence[PairRow]) -> tuple[Example, ...]:
    """Return examples of different operations, the most frequent operations first."""
    candidates = pick(train, _CANDIDATES, SEED)
    random.Random(SEED).shuffle(candidates)
    frequent, seen, ranked = Counter(row.operation for row in train), Counter[str](), []
    for row in candidates:
        ranked.append((seen[row.operation], -frequent[row.operation], row.prompt, row.answer))
        seen[row.operation] += 1
    return tuple(Example(given(text), answer) for _, _, text, answer in sorted(ranked)[:EXAMPLES])
