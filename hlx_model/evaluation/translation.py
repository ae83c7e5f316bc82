"""Translation measured on prompts and answers: exact match, value match and parse rate.

HLX→English has many right answers: every sentence that the corpus has for the value, and every one that the composer's
grammar reads back as the value.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import permutations
from typing import Literal, NamedTuple, TypeVar, overload

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from hlx_model.composer.reading import reads_as
from hlx_model.corpus import ENGLISH, parses, prompt
from hlx_model.corpus.prompts import given
from hlx_model.evaluation.intervals import wilson
from hlx_model.evaluation.rows import Rows
from hlx_model.language import Format, parse, same
from hlx_model.model.generation import generate
from hlx_model.model.transformer import Transformer
from hlx_model.reporting.models import Rates, Translation, WorstTranslation

Key = TypeVar("Key")
DiffPiece = tuple[Literal["equal", "insert", "delete"], str]
"""What happens to a piece of the expected text, and the piece."""

MAX_ANSWER = 200
"""The longest answer that is generated, in tokens."""
LENGTHS = {"1–16": 16, "17–32": 32, "33–64": 64, "65–128": 128, "129–": math.inf}
"""The groups by length of the expected answer: the most characters of each, by its name."""
WORST = 10
"""Number of worst answers in a report."""


class PairRow(NamedTuple):
    """A row of the paired corpus: a prompt and its answer."""

    target: str
    source: str
    prompt: str
    answer: str
    value_sha256: str
    operation: str = ""
    split: str = ""
    document: str = ""


def sentences_by_value(rows: Iterable[PairRow]) -> dict[str, set[str]]:
    """Return, by the hash of a value, every sentence that the paired corpus maps to it."""
    sentences: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.target == ENGLISH:
            sentences[row.value_sha256].add(row.answer)
    return sentences


class Conversions(Sequence[PairRow]):
    """Rows from one format into another, each made of two rows from English when it is read.

    Args:
        rows: rows of the paired corpus.
        pair: the source and the target format.
        numbers: of the row into each of them, for each value (values, 2).
    """

    def __init__(self, rows: Rows[PairRow], pair: tuple[str, str], numbers: NDArray[np.int64]) -> None:
        self._rows, self._pair, self._numbers = rows, pair, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> PairRow: ...
    @overload
    def __getitem__(self, index: slice) -> "Conversions": ...
    def __getitem__(self, index: int | slice) -> "PairRow | Conversions":
        if isinstance(index, slice):
            return Conversions(self._rows, self._pair, self._numbers[index])
        (source, target), (given, answer) = self._pair, map(self._rows.at, self._numbers[index].tolist())
        return answer._replace(source=source, prompt=prompt(target, given.answer))


def conversions(rows: Rows[PairRow]) -> dict[tuple[str, str], Conversions]:
    """Return, by source and target format (12 pairs), one row for each value of these rows.

    The corpus contains one conversion of each value. Here each value is converted in all twelve, so that the pairs are
    measured on the same values.
    """
    from_english = rows.where(source=ENGLISH)
    # Values by number, in the order of their first rows; and the last row of each into each format, -1 without one.
    values = from_english.column("value_sha256").combine_chunks().dictionary_encode()
    last = np.full((len(values.dictionary), len(Format)), -1)
    for place, format in enumerate(Format):
        into = np.flatnonzero(pc.equal(from_english.column("target"), format).to_numpy())
        last[values.indices.to_numpy()[into], place] = from_english.indices[into]
    found = {}
    for (i, source), (j, target) in permutations(enumerate(map(str, Format)), 2):
        both = last[:, [i, j]]
        found[source, target] = Conversions(rows, (source, target), both[(both >= 0).all(axis=1)])
    return found


def translate(model: Transformer, rows: Sequence[PairRow], sentences: Mapping[str, set[str]]) -> list[Translation]:
    """Return the model's greedy answers to rows of the paired corpus, in their order, with what is right in each.

    An answer is cut at one and a half times the longest right answer, so that a model that never ends its answers does
    not take long.
    """
    written = generate(model, [row.prompt for row in rows], max_new_tokens=[_limit(row, sentences) for row in rows])
    return [_compare(row, text, sentences) for row, text in zip(rows, written, strict=True)]


def _limit(row: PairRow, sentences: Mapping[str, set[str]]) -> int:
    others = sentences.get(row.value_sha256, ()) if row.target == ENGLISH else ()
    return min(MAX_ANSWER, max(map(len, (row.answer, *others))) * 3 // 2 + 8)


def _compare(row: PairRow, written: str, sentences: Mapping[str, set[str]]) -> Translation:
    if row.target == ENGLISH:
        well_formed = True
        exact = written in sentences.get(row.value_sha256, {row.answer}) or _says(written, row)
        same_value = exact
    else:
        well_formed, exact = parses(written, Format(row.target)), written == row.answer
        same_value = well_formed and same(parse(written, Format(row.target)), parse(row.answer, Format(row.target)))
    return Translation(
        target=row.target, source=row.source, prompt=row.prompt, expected=row.answer, written=written,
        exact=exact, parses=well_formed, same_value=same_value,
    )  # fmt: skip


def _says(sentence: str, row: PairRow) -> bool:
    """Return whether the composer's grammar reads a sentence back as the value that the row gives."""
    return reads_as(sentence, parse(given(row.prompt), Format(row.source)))


def rates(answers: Iterable[Translation]) -> Rates:
    """Return exact match, value match and parse rate, each with its Wilson interval; 0 without samples."""
    answers = list(answers)
    samples, n = len(answers), max(1, len(answers))
    exact, same_value, parsed = (sum(getattr(a, name) for a in answers) for name in ("exact", "same_value", "parses"))
    return Rates(
        samples=samples,
        exact_match=exact / n, exact_match_interval=wilson(exact, samples),
        value_match=same_value / n, value_match_interval=wilson(same_value, samples),
        parse_rate=parsed / n, parse_rate_interval=wilson(parsed, samples),
    )  # fmt: skip


def rates_by_key(keyed: Iterable[tuple[Key, Translation]]) -> dict[Key, Rates]:
    """Return the rates of the answers that have the same key, the most frequent key first."""
    groups: dict[Key, list[Translation]] = defaultdict(list)
    for key, answer in keyed:
        groups[key].append(answer)
    return {key: rates(groups[key]) for key in sorted(groups, key=lambda key: len(groups[key]), reverse=True)}


def rates_by_direction(answers: Iterable[Translation]) -> Mapping[tuple[str, str], Rates]:
    """Return rates by source and target, each `English` or a format; those of no answers for any other direction."""
    found = rates_by_key(((answer.source, answer.target), answer) for answer in answers)
    return defaultdict(lambda: rates([]), found)


def rates_by_operation(rows: Sequence[PairRow], answers: Sequence[Translation]) -> dict[str, Rates]:
    """Return rates by the operation of the value, the most frequent first; `answers` are those to `rows`."""
    return rates_by_key((row.operation, answer) for row, answer in zip(rows, answers, strict=True))


def rates_by_length(answers: Sequence[Translation]) -> dict[str, Rates]:
    """Return rates by the length of the expected answer in characters, in the steps of `LENGTHS`."""

    def group(answer: Translation) -> str:
        return next(name for name, most in LENGTHS.items() if len(answer.expected) <= most)

    found = rates_by_key((group(answer), answer) for answer in answers)
    return {name: found.get(name, rates([])) for name in LENGTHS}


def difference(expected: str, written: str) -> list[DiffPiece]:
    """Return the pieces that lead from `expected` to `written`, in order: `equal`, `delete` or `insert`, and text."""
    pieces: list[DiffPiece] = []
    for kind, i, j, k, m in SequenceMatcher(None, expected, written, autojunk=False).get_opcodes():
        pieces += [("equal" if kind == "equal" else "delete", expected[i:j])]
        pieces += [("insert", written[k:m])] if kind != "equal" else []
    return [(kind, text) for kind, text in pieces if text]


def distance(pieces: Sequence[DiffPiece]) -> float:
    """Return the share of the characters of both texts that differ: 0 if they are equal, 1 if nothing is."""
    equal = 2 * sum(len(text) for kind, text in pieces if kind == "equal")
    unlike = sum(len(text) for kind, text in pieces if kind != "equal")
    return unlike / max(1, equal + unlike)


def worst_answers(answers: Iterable[Translation]) -> list[WorstTranslation]:
    """Return the `WORST` answers of another value than the expected one that differ most from it, the worst first."""
    wrong = [answer for answer in answers if not answer.same_value]
    diffs = [difference(answer.expected, answer.written) for answer in wrong]
    worst = heapq.nlargest(WORST, range(len(wrong)), key=lambda i: (distance(diffs[i]), -i))
    return [WorstTranslation(**wrong[i].model_dump(), distance=distance(diffs[i]), diff=diffs[i]) for i in worst]
