"""Translation measured on prompts and answers: exact match, value match and parse rate.

HLX→English has many right answers: any sentence that the corpus maps to the same value is one.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import permutations
from typing import Any

from hlx_model.corpus import ENGLISH, prompt
from hlx_model.evaluation.intervals import wilson
from hlx_model.language import Format, HLXSyntaxError, parse, same
from hlx_model.model.generation import generate
from hlx_model.model.transformer import Transformer

Row = Mapping[str, Any]
"""A row of the paired corpus."""

MAX_ANSWER = 200
"""Longest answer asked for, in tokens."""
LENGTHS = (16, 32, 64, 128)
"""Expected answers are told apart by length, in characters: at most 16, 17 to 32, …, more than 128."""
WORST = 10
"""How many of the worst answers a report shows."""
_LIKE_LENGTH = 32


@dataclass(frozen=True)
class Answer:
    """One prompt, what was wanted and what the model wrote."""

    target: str
    source: str
    prompt: str
    expected: str
    written: str
    exact: bool
    """The text is the expected one; into English, any sentence of the same value."""
    parses: bool
    """The text is a line of the format asked for; into English, always true."""
    same_value: bool
    """The parsed value is the expected one, however spelled; into English, as `exact`."""

    @property
    def given(self) -> str:
        """What was to be translated: the prompt without its tag and arrow."""
        return self.prompt.removeprefix(f"[{self.target}] ").removesuffix(" → ")

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Score:
    """Counts of one direction, of `samples` answers."""

    samples: int
    exact: int
    same_value: int
    parses: int


def sentences_by_value(rows: Iterable[Row]) -> dict[str, set[str]]:
    """By the hash of a value, every sentence that the paired corpus maps to it."""
    sentences: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["target"] == ENGLISH:
            sentences[row["value_sha256"]].add(row["answer"])
    return sentences


def conversions(rows: Iterable[Row]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """By source and target format, all 12 pairs: a row that asks it of each value of these rows.

    The corpus itself holds one conversion of a value; here each value is asked in all twelve, so that the pairs
    are measured on the same values.
    """
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    about: dict[str, Row] = {}
    for row in rows:
        if row["source"] == ENGLISH:
            texts[row["value_sha256"]][row["target"]] = row["answer"]
            about[row["value_sha256"]] = row
    return {
        (source, target): [
            {
                **about[value],
                "source": source,
                "target": target,
                "prompt": prompt(target, written[source]),
                "answer": written[target],
            }
            for value, written in texts.items()
            if source in written and target in written
        ]
        for source, target in permutations(map(str, Format), 2)
    }


def translate(model: Transformer, rows: Sequence[Row], sentences: Mapping[str, set[str]]) -> list[Answer]:
    """The model's greedy answers to rows of the paired corpus, judged; in the order of the rows.

    An answer may be half as long again as the longest right one of the rows of like length, and is cut there: a model
    that never ends its answers is not waited for.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    limits = [_limit(row, sentences) for row in rows]
    for i, limit in enumerate(limits):
        alike[limit // _LIKE_LENGTH].append(i)
    written = [""] * len(rows)
    for group in alike.values():
        most = max(limits[i] for i in group)
        texts = generate(model, [rows[i]["prompt"] for i in group], max_new_tokens=most)
        for i, text in zip(group, texts, strict=True):
            written[i] = text
    return [_judge(row, text, sentences) for row, text in zip(rows, written, strict=True)]


def _limit(row: Row, sentences: Mapping[str, set[str]]) -> int:
    others = sentences.get(row["value_sha256"], set()) if row["target"] == ENGLISH else set()
    longest = max(map(len, {row["answer"], *others}))
    return min(MAX_ANSWER, longest * 3 // 2 + 8)


def _judge(row: Row, written: str, sentences: Mapping[str, set[str]]) -> Answer:
    target, expected = row["target"], row["answer"]
    if target == ENGLISH:
        exact = written in sentences.get(row["value_sha256"], {expected})
        parses, same_value = True, exact
    else:
        exact = written == expected
        parses, same_value = _reads_as(written, expected, Format(target))
    return Answer(target, row["source"], row["prompt"], expected, written, exact, parses, same_value)


def _reads_as(written: str, expected: str, format: Format) -> tuple[bool, bool]:
    try:
        value = parse(written, format)
    except HLXSyntaxError:
        return False, False
    return True, same(value, parse(expected, format))


def score(answers: Iterable[Answer]) -> Score:
    """Count what is right."""
    answers = list(answers)
    return Score(
        len(answers),
        sum(a.exact for a in answers),
        sum(a.same_value for a in answers),
        sum(a.parses for a in answers),
    )


def rates(answers: Iterable[Answer]) -> dict[str, Any]:
    """Samples, exact match, value match and parse rate as a report holds them, each rate with its Wilson interval."""
    s = score(answers)
    found: dict[str, Any] = {"samples": s.samples}
    for name, hits in (("exact_match", s.exact), ("value_match", s.same_value), ("parse_rate", s.parses)):
        found[name] = hits / max(1, s.samples)
        found[f"{name}_interval"] = list(wilson(hits, s.samples))
    return found


def rates_by_format(answers: Iterable[Answer]) -> dict[str, dict[str, Any]]:
    """Rates of `to_hlx` and `to_english` by format, and `between`: by source format and then by target format."""
    of: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        of[answer.source, answer.target].append(answer)
    return {
        "to_hlx": {str(f): rates(of[ENGLISH, f]) for f in Format},
        "to_english": {str(f): rates(of[f, ENGLISH]) for f in Format},
        "between": {
            str(source): {str(target): rates(of[source, target]) for target in Format if target is not source}
            for source in Format
        },
    }


def rates_by_operation(rows: Sequence[Row], answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Rates by the operation that the value says, the most frequent first; `answers` are those to `rows`."""
    of: dict[str, list[Answer]] = defaultdict(list)
    for row, answer in zip(rows, answers, strict=True):
        of[row["operation"]].append(answer)
    frequent = Counter({operation: len(found) for operation, found in of.items()})
    return {operation: rates(of[operation]) for operation, _ in frequent.most_common()}


def rates_by_length(answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Rates by the length of the expected answer in characters, in the steps of `LENGTHS`."""
    least = (1, *(most + 1 for most in LENGTHS))
    names = [*(f"{low}–{high}" for low, high in zip(least, LENGTHS, strict=False)), f"{least[-1]}–"]
    of: dict[str, list[Answer]] = {name: [] for name in names}
    for answer in answers:
        of[names[sum(len(answer.expected) > most for most in LENGTHS)]].append(answer)
    return {name: rates(found) for name, found in of.items()}


def difference(expected: str, written: str) -> list[tuple[str, str]]:
    """What leads from `expected` to `written`: pieces that are `equal`, `delete`d or `insert`ed, in order."""
    pieces: list[tuple[str, str]] = []
    for kind, i, j, k, m in SequenceMatcher(None, expected, written, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append((kind, expected[i:j]))
        else:
            pieces += [(name, text) for name, text in (("delete", expected[i:j]), ("insert", written[k:m])) if text]
    return pieces


def distance(pieces: Iterable[tuple[str, str]]) -> float:
    """The share of the characters of both texts that differ: 0 where they are equal, 1 where nothing is."""
    pieces = list(pieces)
    equal = 2 * sum(len(text) for kind, text in pieces if kind == "equal")
    unlike = sum(len(text) for kind, text in pieces if kind != "equal")
    return unlike / max(1, equal + unlike)


def worst_answers(answers: Iterable[Answer]) -> list[dict[str, Any]]:
    """The `WORST` answers of another value than the expected one that are farthest from it, the farthest first.

    Each is the answer as JSON with its `distance` and its `diff` from what was expected to what was written.
    """
    wrong = [answer for answer in answers if not answer.same_value]
    diffs = [difference(answer.expected, answer.written) for answer in wrong]
    far = heapq.nlargest(WORST, range(len(wrong)), key=lambda i: (distance(diffs[i]), -i))
    return [
        {**wrong[i].to_json(), "distance": distance(diffs[i]), "diff": [list(piece) for piece in diffs[i]]} for i in far
    ]
