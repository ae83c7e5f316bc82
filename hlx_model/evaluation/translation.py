"""Translation measured on prompts and answers: exact match, value match and parse rate.

HLX→English has several right answers: every sentence that the corpus maps to the same value is one.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import permutations
from typing import TYPE_CHECKING, Literal, NamedTuple

import pyarrow as pa

from hlx_model.corpus import ENGLISH, prompt
from hlx_model.evaluation.intervals import wilson
from hlx_model.language import Format, HLXSyntaxError, parse, same
from hlx_model.reporting.models import Rates, Translation, WorstTranslation

# PyTorch takes longer to load than a verdict to read: it is imported where a model is used.
if TYPE_CHECKING:
    from hlx_model.model.transformer import Transformer

DiffPiece = tuple[Literal["equal", "insert", "delete"], str]
"""What happens to a piece of the expected text, and the piece."""

MAX_ANSWER = 200
"""The longest answer that is generated, in tokens."""
LENGTHS = (16, 32, 64, 128)
"""Expected answers are grouped by length in characters: at most 16, 17 to 32, …, more than 128."""
WORST = 10
"""Number of worst answers in a report."""
_SIMILAR_LENGTH = 32


class PairRow(NamedTuple):
    """A row of the paired corpus: a prompt and its answer."""

    target: str
    source: str
    prompt: str
    answer: str
    value_sha256: str
    operation: str = ""
    split: str = ""


class Answer(Translation):
    """A prompt, the expected answer and what the model wrote.

    `exact`: the text is the expected one; into English, any sentence of the same value. `parses`: it is a line of the
    target format; into English, always true. `same_value`: the parsed value is the expected one, however it is written;
    into English, the same as `exact`.
    """

    @property
    def given(self) -> str:
        """Return what was to be translated: the prompt without its tag and arrow."""
        return self.prompt.removeprefix(f"[{self.target}] ").removesuffix(" → ")


@dataclass(frozen=True)
class Score:
    """Numbers of right answers among `samples`."""

    samples: int
    exact: int
    same_value: int
    parses: int


def pair_rows(table: pa.Table) -> list[PairRow]:
    """Return the rows of the paired corpus."""
    columns = (table[name].to_pylist() for name in PairRow._fields)
    return [PairRow(*cells) for cells in zip(*columns, strict=True)]


def sentences_by_value(rows: Iterable[PairRow]) -> dict[str, set[str]]:
    """Return, by the hash of a value, every sentence that the paired corpus maps to it."""
    sentences: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.target == ENGLISH:
            sentences[row.value_sha256].add(row.answer)
    return sentences


def conversions(rows: Iterable[PairRow]) -> dict[tuple[str, str], list[PairRow]]:
    """Return, by source and target format (12 pairs), one row for each value of these rows.

    The corpus contains one conversion of each value. Here each value is converted in all twelve, so that the pairs are
    measured on the same values.
    """
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    about: dict[str, PairRow] = {}
    for row in rows:
        if row.source == ENGLISH:
            texts[row.value_sha256][row.target] = row.answer
            about[row.value_sha256] = row
    return {
        (source, target): [
            about[value]._replace(
                source=source, target=target, prompt=prompt(target, written[source]), answer=written[target]
            )
            for value, written in texts.items()
            if source in written and target in written
        ]
        for source, target in permutations(map(str, Format), 2)
    }


def translate(model: "Transformer", rows: Sequence[PairRow], sentences: Mapping[str, set[str]]) -> list[Answer]:
    """Return the model's greedy answers to rows of the paired corpus, in their order, with what is right in each.

    An answer is cut at one and a half times the longest right answer among the rows of similar length, so that a model
    that never ends its answers does not take long.
    """
    from hlx_model.model.generation import generate

    similar: dict[int, list[int]] = defaultdict(list)
    limits = [_limit(row, sentences) for row in rows]
    for i, limit in enumerate(limits):
        similar[limit // _SIMILAR_LENGTH].append(i)
    written = [""] * len(rows)
    for group in similar.values():
        longest = max(limits[i] for i in group)
        texts = generate(model, [rows[i].prompt for i in group], max_new_tokens=longest)
        for i, text in zip(group, texts, strict=True):
            written[i] = text
    return [_compare(row, text, sentences) for row, text in zip(rows, written, strict=True)]


def _limit(row: PairRow, sentences: Mapping[str, set[str]]) -> int:
    others = sentences.get(row.value_sha256, set()) if row.target == ENGLISH else set()
    longest = max(map(len, {row.answer, *others}))
    return min(MAX_ANSWER, longest * 3 // 2 + 8)


def _compare(row: PairRow, written: str, sentences: Mapping[str, set[str]]) -> Answer:
    if row.target == ENGLISH:
        exact = written in sentences.get(row.value_sha256, {row.answer})
        parses, same_value = True, exact
    else:
        exact = written == row.answer
        parses, same_value = _parse_and_compare(written, row.answer, Format(row.target))
    return Answer(
        target=row.target, source=row.source, prompt=row.prompt, expected=row.answer, written=written,
        exact=exact, parses=parses, same_value=same_value,
    )  # fmt: skip


def _parse_and_compare(written: str, expected: str, format: Format) -> tuple[bool, bool]:
    try:
        value = parse(written, format)
    except HLXSyntaxError:
        return False, False
    return True, same(value, parse(expected, format))


def score(answers: Iterable[Answer]) -> Score:
    """Count the right answers."""
    answers = list(answers)
    return Score(
        len(answers),
        sum(a.exact for a in answers),
        sum(a.same_value for a in answers),
        sum(a.parses for a in answers),
    )


def rates(answers: Iterable[Answer]) -> Rates:
    """Return exact match, value match and parse rate, each with its Wilson interval; 0 without samples."""
    s = score(answers)
    n = max(1, s.samples)
    return Rates(
        samples=s.samples,
        exact_match=s.exact / n, exact_match_interval=wilson(s.exact, s.samples),
        value_match=s.same_value / n, value_match_interval=wilson(s.same_value, s.samples),
        parse_rate=s.parses / n, parse_rate_interval=wilson(s.parses, s.samples),
    )  # fmt: skip


def rates_by_direction(answers: Iterable[Answer]) -> dict[str, dict[str, Rates]]:
    """Return rates by source and then by target: `English` and the four formats, without English→English."""
    groups: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.source, answer.target].append(answer)
    tags = (ENGLISH, *map(str, Format))
    return {source: {target: rates(groups[source, target]) for target in tags if target != source} for source in tags}


def rates_by_operation(rows: Sequence[PairRow], answers: Sequence[Answer]) -> dict[str, Rates]:
    """Return rates by the operation of the value, the most frequent first; `answers` are those to `rows`."""
    groups: dict[str, list[Answer]] = defaultdict(list)
    for row, answer in zip(rows, answers, strict=True):
        groups[row.operation].append(answer)
    frequent = Counter({operation: len(found) for operation, found in groups.items()})
    return {operation: rates(groups[operation]) for operation, _ in frequent.most_common()}


def rates_by_length(answers: Sequence[Answer]) -> dict[str, Rates]:
    """Return rates by the length of the expected answer in characters, in the steps of `LENGTHS`."""
    lowest = (1, *(length + 1 for length in LENGTHS))
    names = [*(f"{low}–{high}" for low, high in zip(lowest, LENGTHS, strict=False)), f"{lowest[-1]}–"]
    groups: dict[str, list[Answer]] = {name: [] for name in names}
    for answer in answers:
        groups[names[sum(len(answer.expected) > length for length in LENGTHS)]].append(answer)
    return {name: rates(found) for name, found in groups.items()}


def difference(expected: str, written: str) -> list[DiffPiece]:
    """Return the pieces that lead from `expected` to `written`, in order: `equal`, `delete` or `insert`, and text."""
    pieces: list[DiffPiece] = []
    for kind, i, j, k, m in SequenceMatcher(None, expected, written, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(("equal", expected[i:j]))
        else:
            pieces += [("delete", expected[i:j])] if i < j else []
            pieces += [("insert", written[k:m])] if k < m else []
    return pieces


def distance(pieces: Iterable[DiffPiece]) -> float:
    """Return the share of the characters of both texts that differ: 0 if they are equal, 1 if nothing is."""
    pieces = list(pieces)
    equal = 2 * sum(len(text) for kind, text in pieces if kind == "equal")
    unlike = sum(len(text) for kind, text in pieces if kind != "equal")
    return unlike / max(1, equal + unlike)


def worst_answers(answers: Iterable[Answer]) -> list[WorstTranslation]:
    """Return the `WORST` answers of another value than the expected one that differ most from it, the worst first."""
    wrong = [answer for answer in answers if not answer.same_value]
    diffs = [difference(answer.expected, answer.written) for answer in wrong]
    worst = heapq.nlargest(WORST, range(len(wrong)), key=lambda i: (distance(diffs[i]), -i))
    return [WorstTranslation(**wrong[i].model_dump(), distance=distance(diffs[i]), diff=diffs[i]) for i in worst]
