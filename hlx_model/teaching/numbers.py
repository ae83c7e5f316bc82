"""The numbers that an English sentence says, in digits and in words.

said = numbers_said("Move 3 of 12.5 by minus ten")   # numbers ("3", "12.5", "-10")
said = numbers_said("a dozen of 7k")                 # quantities ("dozen", "7k"): what they say is not certain

Every word and sign with a digit is one or the other, so that no number is overlooked.
"""

import re
from typing import NamedTuple

from hlx_model.composer.spelling import NUMBER_WORDS, read_number

_CHUNK = re.compile(r"\S+")
_AROUND = ".,;:?!()'\""
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_MINUS = ("minus", "negative")
_QUANTITIES = frozenset({
    "half", "halves", "quarter", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "dozen",
    "dozens", "hundreds", "thousands", "million", "millions", "billion", "billions", "trillion", "twice", "thrice",
    "double", "triple", "percent",
})  # fmt: skip
_LONGEST = 12
"""Words of a number."""
_DIGITS = 400
"""Of a number; HLX has none that is longer."""


class Said(NamedTuple):
    """The numbers of a sentence, in its order."""

    numbers: tuple[str, ...]
    """As Python writes them: `4` and `4.0` differ, as they do in HLX."""
    quantities: tuple[str, ...]
    """Words and signs that are no number of their own, but change or add one, in lower case."""


class _Word(NamedTuple):
    text: str
    """In lower case."""
    ends: bool
    """Whether a sign after it ends a number: `one hundred, ten` is two."""


def numbers_said(sentence: str, *, and_joins: bool = True) -> Said:
    """Return the numbers of a sentence.

    Args:
        sentence: English.
        and_joins: read `one hundred and nine` as one number, not as two.
    """
    words = [_word(chunk) for chunk in _CHUNK.findall(sentence)]
    numbers: list[str] = []
    quantities: list[str] = []
    at, after_number = 0, False
    while at < len(words):
        # "10 minus 7" are two numbers; "minus 7" is one.
        sign = words[at].text in _MINUS and not after_number and not words[at].ends
        number, end = _number_at(words, at + sign, and_joins)
        if number is not None:
            numbers.append(repr(-number if sign else number))
        elif _is_quantity(words[at].text):
            quantities.append(words[at].text)
        at = max(end, at + 1)
        after_number = number is not None and not words[at - 1].ends
    return Said(tuple(numbers), tuple(quantities))


def _word(chunk: str) -> _Word:
    inner = chunk.strip(_AROUND)
    return _Word((inner or chunk).lower(), chunk[-1] in _AROUND)


def _number_at(words: list[_Word], at: int, and_joins: bool) -> tuple[int | float | None, int]:
    """Return the longest number that begins at a word, and where it ends; None if there is none."""
    if at >= len(words):
        return None, at
    text = words[at].text
    if len(text) <= _DIGITS and _NUMBER.fullmatch(text):
        return float(text) if set(text) & set(".e") else int(text), at + 1
    if text.partition("-")[0] not in NUMBER_WORDS:
        return None, at
    stop = at + 1
    while stop < min(len(words), at + _LONGEST) and not words[stop - 1].ends:
        if words[stop].text == "and" and not and_joins:
            break
        stop += 1
    for end in range(stop, at, -1):
        if (number := read_number(" ".join(word.text for word in words[at:end]))) is not None:
            return number, end
    return None, at


def _is_quantity(word: str) -> bool:
    parts = word.split("-")
    return any(char.isdigit() or char == "%" for char in word) or not _QUANTITIES.union(NUMBER_WORDS).isdisjoint(parts)
