"""Translation measured on prompts and answers: exact match, value match and parse rate.

HLX→English has many right answers: any sentence that the corpus maps to the same value is one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hlx_model.corpus import ENGLISH
from hlx_model.generation import generate
from hlx_model.language import Format, HLXSyntaxError, parse, same
from hlx_model.transformer import Transformer

MAX_ANSWER = 200
"""Longest answer asked for, in tokens."""


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


def sentences_by_value(rows: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """By the hash of a value, every sentence that the paired corpus maps to it."""
    sentences: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["target"] == ENGLISH:
            sentences[row["value_sha256"]].add(row["answer"])
    return sentences


def translate(model: Transformer, rows: Sequence[Mapping[str, Any]], sentences: Mapping[str, set[str]]) -> list[Answer]:
    """The model's greedy answers to rows of the paired corpus, judged; in the order of the rows."""
    longest = max((len(row["answer"]) for row in rows), default=0)
    written = generate(model, [row["prompt"] for row in rows], max_new_tokens=min(MAX_ANSWER, longest * 3 // 2 + 8))
    return [_judge(row, text, sentences) for row, text in zip(rows, written, strict=True)]


def _judge(row: Mapping[str, Any], written: str, sentences: Mapping[str, set[str]]) -> Answer:
    target, expected = row["target"], row["answer"]
    if target == ENGLISH:
        exact = written in sentences.get(row["value_sha256"], {expected})
        parses = same_value = exact
        parses = True
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
